// Command client is a TCP echo client on the standard library alone. It dials once, at once and
// without retry, then sends a line every interval and prints the replies. Any error ends it.
//
//	client [--count N] HOST PORT [INTERVAL_MS]
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net"
	"strconv"
	"time"
)

func main() {
	count := flag.Int("count", 0, "stop after this many lines (0: never)")
	flag.Parse()
	if flag.NArg() < 2 || flag.NArg() > 3 {
		log.Fatal("usage: client [--count N] HOST PORT [INTERVAL_MS]")
	}
	interval := 1000
	if flag.NArg() == 3 {
		var err error
		if interval, err = strconv.Atoi(flag.Arg(2)); err != nil || interval < 0 {
			log.Fatalf("interval %q is not a number of milliseconds", flag.Arg(2))
		}
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(flag.Arg(0), flag.Arg(1)))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	replies := bufio.NewReader(conn)
	for i := 1; ; i++ {
		if _, err := fmt.Fprintf(conn, "message %d\n", i); err != nil {
			log.Fatal(err)
		}
		reply, err := replies.ReadString('\n')
		if err != nil {
			log.Fatalf("after %d replies: %v", i-1, err)
		}
		fmt.Print("reply: ", reply)
		if i == *count {
			return
		}
		time.Sleep(time.Duration(interval) * time.Millisecond)
	}
}
