// Go with C in it: both must see the same time, and C's deadlines be met.
package main

/*
#include <pthread.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void wait_for(double seconds) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    double nanoseconds = t.tv_nsec + seconds * 1e9;
    t.tv_sec += nanoseconds / 1e9;
    t.tv_nsec = (long long)nanoseconds % 1000000000;
    pthread_mutex_lock(&mutex);
    while (pthread_cond_timedwait(&condition, &mutex, &t) == 0)
        ;
    pthread_mutex_unlock(&mutex);
}
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

func main() {
	unit, _ := strconv.ParseFloat(os.Args[1], 64)
	start, begin := time.Now(), float64(C.now())
	var tell sync.Mutex
	fired := func(name string, units any) {
		tell.Lock()
		defer tell.Unlock()
		fmt.Printf("fired %s %v %.4f %.4f\n", name, units, time.Since(start).Seconds()/unit, (float64(C.now())-begin)/unit)
	}
	for _, units := range []int{1, 2, 8} {
		units := units
		go func() { C.wait_for(C.double(float64(units) * unit)); fired("C", units) }()
		time.AfterFunc(time.Duration(float64(units)*unit*float64(time.Second)), func() { fired("Go", units) })
	}
	time.AfterFunc(100*time.Millisecond, func() { fmt.Println("ready") })
	// A deadline made after the clocks were moved.
	time.Sleep(time.Duration(unit * float64(time.Second)))
	C.wait_for(0.05)
	fmt.Println("met")
	select {}
}
