// Ways to wait that Go has, for 1, 2 and 8 units of time. Prints `fired NAME UNITS AFTER BY-WALL`, and `ready` when all of them wait.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"time"
)

var (
	unit  time.Duration
	start = time.Now()
	tell  sync.Mutex
)

func fired(name string, units any) {
	now := time.Now()
	tell.Lock()
	defer tell.Unlock()
	after, wall := now.Sub(start), now.Round(0).Sub(start.Round(0))
	fmt.Printf("fired %s %v %.4f %.4f\n", name, units, float64(after)/float64(unit), float64(wall)/float64(unit))
}

// reused says whether a client that keeps idle connections for a time uses the one from before.
func reused(units int, before chan<- struct{}, after <-chan struct{}) {
	seen := make(chan string, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.RemoteAddr }))
	client := http.Client{Transport: &http.Transport{IdleConnTimeout: time.Duration(units) * unit}}
	get := func() string {
		answer, err := client.Get(server.URL)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		return <-seen
	}
	first := get()
	before <- struct{}{}
	<-after
	fmt.Printf("reused http.Transport-%d %v\n", units, get() == first)
}

func main() {
	seconds, _ := strconv.ParseFloat(os.Args[1], 64)
	unit = time.Duration(seconds * float64(time.Second))
	go func() {
		ticks := 0
		for range time.NewTicker(unit).C {
			ticks++
			fired("Ticker", fmt.Sprintf("tick%d", ticks))
		}
	}()
	passed, waiting := make(chan struct{}), make(chan struct{})
	for _, units := range []int{8, 2, 1} {
		units, wait := units, time.Duration(units)*unit
		time.AfterFunc(wait, func() { fired("AfterFunc", units) })
		go func() { time.Sleep(wait); fired("Sleep", units) }()
		go func() { <-time.After(wait); fired("After", units) }()
		limited, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		go func() { <-limited.Done(); fired("context", units) }()
		if units != 2 {
			go reused(units, waiting, passed)
		}
	}
	<-waiting
	<-waiting
	go func() { time.Sleep(unit); time.Sleep(20 * time.Millisecond); close(passed) }()
	time.Sleep(100 * time.Millisecond) // until all of them wait
	fmt.Println("ready")
	select {}
}
