package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

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
	response, answer, err := s.send(request, sent)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	items, err := results(answer)
	if err != nil {
		s.logger.Error("an answer of the store is not understood", zap.Error(err))
		return response, nil
	}
	again, positions := rewritten(bytes.SplitAfter(sent, []byte("\n")), items)
	if len(positions) > 0 {
		second, secondAnswer, err := s.send(request, again)
		if err != nil || second.StatusCode != http.StatusOK {
			// The exporter sends all of it again; what the store has is not stored twice.
			return second, err
		}
		secondItems, err := results(secondAnswer)
		if err != nil || len(secondItems) != len(positions) {
			return nil, fmt.Errorf("an answer of the store is not understood: %w", err)
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

// send returns the response with a body that can be read again, and that body.
func (s *secondTry) send(request *http.Request, body []byte) (*http.Response, []byte, error) {
	copied := request.Clone(request.Context())
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

func results(answer []byte) ([]result, error) {
	var document struct {
		Items []map[string]map[string]json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(answer, &document); err != nil {
		return nil, err
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
		reason := "refused"
		if item.failure != nil {
			reason = item.failure.String()
		}
		body, err := json.Marshal(refusedDocument(bytes.TrimSpace(lines[2*position+1]), reason))
		if err != nil {
			continue
		}
		again.Write(lines[2*position])
		again.Write(append(body, '\n'))
		positions = append(positions, position)
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
