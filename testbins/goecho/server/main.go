// Command server is a TCP echo server on the standard library alone: it answers every line
// with the same line, after a prefix if one is given, and closes when the client has.
//
//	server [--reply-prefix TEXT] PORT
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
)

func main() {
	prefix := flag.String("reply-prefix", "", "put in front of every reply")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: server [--reply-prefix TEXT] PORT")
	}
	listener, err := net.Listen("tcp", ":"+flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go echo(conn, *prefix)
	}
}

// echo answers line by line; a last line without a newline is answered when the client half-closes.
func echo(conn net.Conn, prefix string) {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if _, werr := io.WriteString(conn, prefix+line); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
