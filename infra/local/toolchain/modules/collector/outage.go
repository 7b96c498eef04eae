package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"go.uber.org/zap"
)

const (
	firstPause = 500 * time.Millisecond
	// Lines flow again within a minute of the store's return.
	longestPause = 20 * time.Second
	// What was sent to a node that is gone is answered by nobody; a busy store gets longer and longer.
	firstLimit   = 40 * time.Second
	longestLimit = 160 * time.Second
)

// outage is waited for here, however long it lasts: the exporter counts its retries, and drops lines at their end.
type outage struct {
	logger       *zap.Logger
	began        time.Time
	pause, limit time.Duration
}

func newOutage(logger *zap.Logger) *outage {
	return &outage{logger, time.Now(), firstPause, firstLimit}
}

// wait returns after a pause, which is twice as long each time, or with an error once the request is given up.
func (o *outage) wait(ctx context.Context, reason string) error {
	o.logger.Warn("the store takes no lines; they wait",
		zap.String("error.message", reason), zap.Duration("since", time.Since(o.began)))
	pause := o.pause/2 + rand.N(o.pause/2)
	o.pause = min(2*o.pause, longestPause)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// slower gives the next request twice as much time.
func (o *outage) slower() { o.limit = min(2*o.limit, longestLimit) }

// final says whether asking again would change nothing: the request is at fault.
func final(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusBadRequest ||
		status == http.StatusRequestEntityTooLarge
}

// passing says whether the store may take a document later, as it is: it is busy, full or closed to us.
func passing(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
