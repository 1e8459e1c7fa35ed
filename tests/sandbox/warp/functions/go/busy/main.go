// Reads the clock without a pause, in several threads, and says when it jumps.
package main

import (
	"fmt"
	"sync"
	"time"
)

func main() {
	var begun sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		begun.Add(1)
		go func() {
			jumps, last := 0, time.Now()
			begun.Done()
			for {
				now := time.Now()
				gap := now.Sub(last)
				if gap < 0 {
					panic("time went back")
				}
				if gap > 1000*time.Second {
					jumps++
					if gap > 10100*time.Second {
						panic("too far")
					}
					fmt.Println("jump", jumps)
				}
				last = now
			}
		}()
	}
	begun.Wait()
	fmt.Println("ready")
	select {}
}
