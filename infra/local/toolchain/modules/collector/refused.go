package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.uber.org/zap"
)

// refusedExtension stands between the exporter and Elasticsearch: a document that the store refuses is sent once more
// in a form it takes, and one that it has already counts as stored.
func refusedExtension() extension.Factory {
	create := func(_ context.Context, set extension.Settings, _ component.Config) (extension.Extension, error) {
		wrap := func(_ context.Context, base http.RoundTripper) (http.RoundTripper, error) {
			return &secondTry{base, set.Logger}, nil
		}
		return struct {
			component.StartFunc
			component.ShutdownFunc
			extensionmiddleware.GetHTTPRoundTripperFunc
		}{
			GetHTTPRoundTripperFunc: func(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
				return wrap, nil
			},
		}, nil
	}
	empty := func() component.Config { return &struct{}{} }
	return extension.NewFactory(component.MustNewType("refused"), empty, create, component.StabilityLevelStable)
}

type secondTry struct {
	base   http.RoundTripper
	logger *zap.Logger
}

type failure struct {
	Type   string   `json:"type"`
	Reason string   `json:"reason"`
	Cause  *failure `json:"caused_by"`
}

// String is the failure with its causes; the quoted excerpt of a document is left to event.original.
func (f *failure) String() string {
	text := f.Type + ": " + f.Reason
	if f.Cause != nil {
		text += "; " + f.Cause.String()
	}
	return text
}

func (s *secondTry) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(request.URL.Path, "/_bulk") || request.Body == nil ||
		request.Header.Get("Content-Encoding") != "" {
		return s.base.RoundTrip(request)
	}
	sent, err := io.ReadAll(request.Body)
	request.Body.Close()
	if err != nil {
		return nil, err
	}
	response, items, err := s.settle(request, sent)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	again, positions := rewritten(bytes.SplitAfter(sent, []byte("\n")), items)
	if len(positions) > 0 {
		second, secondItems, err := s.settle(request, again)
		if err != nil || second.StatusCode != http.StatusOK {
			// The exporter sends all of it again; what the store has is not stored twice.
			return second, err
		}
		for index, position := range positions {
			items[position] = secondItems[index]
		}
		s.logger.Warn("the store has refused lines; they are stored as one text each, with the tag "+refusedTag,
			zap.Int("count", len(positions)))
	}
	setBody(response, summary(items))
	return response, nil
}

// settle sends documents until the store has taken or refused each of them.
func (s *secondTry) settle(request *http.Request, body []byte) (*http.Response, []result, error) {
	response, items, err := s.send(request, body)
	lines, away := bytes.SplitAfter(body, []byte("\n")), newOutage(s.logger)
	for err == nil && response.StatusCode == http.StatusOK {
		again, positions := waiting(lines, items)
		if len(positions) == 0 {
			break
		}
		if err := away.wait(request.Context(), items[positions[0]].reason()); err != nil {
			return nil, nil, err
		}
		next, more, err := s.send(request, again)
		if err != nil || next.StatusCode != http.StatusOK {
			return next, nil, err
		}
		for index, position := range positions {
			items[position] = more[index]
		}
	}
	return response, items, err
}

// send returns the answer of the store, once there is one, with a body that can be read again, and its results.
func (s *secondTry) send(request *http.Request, body []byte) (*http.Response, []result, error) {
	for away := newOutage(s.logger); ; {
		response, answer, err := s.attempt(request, body, away.limit)
		if err == nil && response.StatusCode == http.StatusOK {
			var items []result
			if items, err = results(answer, bytes.Count(body, []byte("\n"))/2); err == nil {
				return response, items, nil
			}
		} else if err == nil && final(response.StatusCode) {
			return response, nil, nil
		} else if err == nil {
			err = fmt.Errorf("%s: %.200s", response.Status, answer)
		} else if errors.Is(err, context.DeadlineExceeded) {
			away.slower()
		}
		if ended := away.wait(request.Context(), err.Error()); ended != nil {
			return nil, nil, ended
		}
	}
}

// attempt sends the documents once; the store has `limit` to answer.
func (s *secondTry) attempt(
	request *http.Request, body []byte, limit time.Duration,
) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(request.Context(), limit)
	defer cancel()
	copied := request.Clone(ctx)
	copied.Body = io.NopCloser(bytes.NewReader(body))
	copied.GetBody = nil
	copied.ContentLength = int64(len(body))
	query := copied.URL.Query()
	// The reasons of refused documents are wanted.
	query.Del("filter_path")
	copied.URL.RawQuery = query.Encode()
	response, err := s.base.RoundTrip(copied)
	if err != nil {
		return nil, nil, err
	}
	answer, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	setBody(response, answer)
	return response, answer, nil
}

func setBody(response *http.Response, body []byte) {
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Del("Content-Length")
}

// result is what the store says of one document.
type result struct {
	action  string
	fields  map[string]json.RawMessage
	status  int
	failure *failure
}

// reason is the store's for the documents it has not taken.
func (r *result) reason() string {
	if r.failure == nil {
		return "refused"
	}
	return r.failure.String()
}

// results is what an answer says of each of `count` documents.
func results(answer []byte, count int) ([]result, error) {
	var document struct {
		Items []map[string]map[string]json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(answer, &document); err != nil {
		return nil, fmt.Errorf("an answer of the store is not understood: %w", err)
	}
	if len(document.Items) != count {
		return nil, fmt.Errorf("the store answers for %d of %d documents", len(document.Items), count)
	}
	var all []result
	for _, item := range document.Items {
		for action, fields := range item {
			one := result{action: action, fields: fields}
			if err := json.Unmarshal(fields["status"], &one.status); err != nil {
				return nil, err
			}
			if raw, ok := fields["error"]; ok {
				one.failure = &failure{}
				if err := json.Unmarshal(raw, one.failure); err != nil {
					return nil, err
				}
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// rewritten is a bulk request with the refused documents of another, given as lines, and their positions in it.
func rewritten(lines [][]byte, items []result) ([]byte, []int) {
	var again bytes.Buffer
	var positions []int
	for position, item := range items {
		if item.status != http.StatusBadRequest && item.status != http.StatusRequestEntityTooLarge ||
			2*position+1 >= len(lines) {
			continue
		}
		body, err := json.Marshal(refusedDocument(bytes.TrimSpace(lines[2*position+1]), item.reason()))
		if err != nil {
			continue
		}
		again.Write(lines[2*position])
		again.Write(append(body, '\n'))
		positions = append(positions, position)
	}
	return again.Bytes(), positions
}

// waiting is a bulk request with the documents of another that the store may take later, and their positions in it.
func waiting(lines [][]byte, items []result) ([]byte, []int) {
	var again bytes.Buffer
	var positions []int
	for position, item := range items {
		if passing(item.status) {
			again.Write(lines[2*position])
			again.Write(lines[2*position+1])
			positions = append(positions, position)
		}
	}
	return again.Bytes(), positions
}

// summary is the answer that the exporter sees: a document that the store had already is stored.
func summary(items []result) []byte {
	failed := false
	all := make([]map[string]map[string]json.RawMessage, 0, len(items))
	for _, item := range items {
		if item.status == http.StatusConflict {
			delete(item.fields, "error")
			item.fields["status"] = json.RawMessage("200")
		}
		_, wrong := item.fields["error"]
		failed = failed || wrong
		all = append(all, map[string]map[string]json.RawMessage{item.action: item.fields})
	}
	body, _ := json.Marshal(map[string]any{"took": 0, "errors": failed, "items": all})
	return body
}
