// Command probed is an application with every kind of probe, on the standard library alone. Ports 8080
// (HTTP), 8081 (TCP) and 8082 (gRPC health over HTTP/2 without TLS) are well until they are told to fail:
//
//	GET :8080/ready, /live, /start     200, or 503 when it fails; grpc is the service's health
//	GET :8080/fail/NAME, /pass/NAME    NAME is ready, live, start, tcp or grpc
//	GET :8080/who                      the process' start, in nanoseconds: another one after a restart
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// failing has the names of what fails.
var failing sync.Map

func main() {
	start := time.Now().UnixNano()
	http.HandleFunc("/who", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, start) })
	for _, name := range []string{"ready", "live", "start"} {
		http.HandleFunc("/"+name, func(w http.ResponseWriter, _ *http.Request) { answer(w, name) })
	}
	http.HandleFunc("/fail/{name}", func(_ http.ResponseWriter, r *http.Request) {
		failing.Store(r.PathValue("name"), true)
	})
	http.HandleFunc("/pass/{name}", func(_ http.ResponseWriter, r *http.Request) {
		failing.Delete(r.PathValue("name"))
	})
	go func() { log.Fatal(serveTCP()) }()
	go func() { log.Fatal(serveGRPC()) }()
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func answer(w http.ResponseWriter, name string) {
	if fails(name) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func fails(name string) bool {
	_, found := failing.Load(name)
	return found
}

// serveTCP listens on 8081 while it is well: a TCP probe asks for nothing else.
func serveTCP() error {
	for {
		for fails("tcp") {
			time.Sleep(50 * time.Millisecond)
		}
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{Port: 8081})
		if err != nil {
			return err
		}
		for !fails("tcp") {
			listener.SetDeadline(time.Now().Add(50 * time.Millisecond))
			if conn, err := listener.Accept(); err == nil {
				conn.Close()
			}
		}
		listener.Close()
	}
}

// serveGRPC answers grpc.health.v1.Health/Check with SERVING (1) or NOT_SERVING (2), as one message
// of one field after the five bytes that gRPC puts before a message.
func serveGRPC() error {
	health := func(w http.ResponseWriter, _ *http.Request) {
		status := byte(1)
		if fails("grpc") {
			status = 2
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write([]byte{0, 0, 0, 0, 2, 8, status})
		w.Header().Set("Grpc-Status", "0")
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Addr: ":8082", Handler: http.HandlerFunc(health), Protocols: protocols}
	return server.ListenAndServe()
}
