package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	timeField        = "@timestamp"
	messageField     = "message"
	levelField       = "log.level"
	environmentField = "service.environment"
	namespaceField   = "kubernetes.namespace"
	podField         = "kubernetes.pod.name"
	containerField   = "kubernetes.container.name"
	originalField    = "event.original"
	reasonField      = "error.message"
	tagsField        = "tags"
	modelField       = "stellwerk.model"
	idField          = "event.id"
	// A program that ships its lines by itself says so in each that it takes; in what it prints again, it does not.
	shippingField = "stellwerk.shipping"
	byApplication = "application"
	// Where a line's own word stands about what it cannot know.
	claimed = "claimed."

	refusedTag   = "log_refused"
	malformedTag = "log_malformed"
	maxFields    = 100
	maxDepth     = 20
)

// kept are the fields that a line keeps when the store refuses it; the index template names each with its type.
var kept = []string{
	messageField, levelField, "log.logger", "stellwerk.model", "stellwerk.release", "stellwerk.run_id",
	"http.request.id", "trace.id", "event.reason", "event.kind",
}

type document map[string]any

// origin is what the path of a log file says.
type origin struct{ namespace, pod, uid, container, restart string }

var logPath = regexp.MustCompile(`/([^/_]+)_([^/_]+)_([^/_]+)/([^/]+)/(\d+)\.log`)

func parsePath(path string) (origin, bool) {
	parts := logPath.FindStringSubmatch(path)
	if parts == nil {
		return origin{}, false
	}
	return origin{parts[1], parts[2], parts[3], parts[4], parts[5]}, true
}

// lineDocument is the document of one group. ECS JSON is taken apart; other JSON stays one text: fields of unknown
// meaning would clash with each other's types.
func lineDocument(g *group, from origin, environment string) document {
	text := strings.ToValidUTF8(strings.TrimRight(string(g.text), "\n"), "\uFFFD")
	body, err := parseECS(text)
	if body == nil {
		body = document{messageField: text}
		switch {
		case err != nil:
			body[tagsField], body[reasonField] = []any{refusedTag}, err.Error()
		case g.malformed:
			body[tagsField] = []any{malformedTag}
		case g.failure:
			body[levelField] = "error"
		}
	}
	if at, ok := body[timeField].(string); !ok || !isTime(at) {
		if ok {
			body[claimed+timeField] = at
		}
		body[timeField] = g.time.UTC().Format(time.RFC3339Nano)
	}
	body.place(map[string]string{
		environmentField: environment, namespaceField: from.namespace, podField: from.pod,
		containerField: from.container,
	})
	// What such a pod prints when it does not start names no model.
	if model := modelOf(from.pod); body[modelField] == nil && model != "" {
		body[modelField] = model
	}
	return body
}

// A line that a program gives back may be this much older than its place in the file.
const givenBack = 24 * time.Hour

// ownID is the id that a program which ships its lines has given to one, and the time that its index is of. The program
// may have sent it: it must be the same document. An id that is not of this pod and container is no id.
func ownID(body document, from origin, at time.Time) (string, time.Time, bool) {
	id, _ := body[idField].(string)
	if from.uid == "" || !strings.HasPrefix(id, from.uid+"/"+from.container+"/") {
		return "", at, false
	}
	if text, _ := body[timeField].(string); text != "" {
		said, err := time.Parse(time.RFC3339Nano, text)
		if err == nil && at.Sub(said).Abs() < givenBack {
			return id, said, true
		}
	}
	return id, at, true
}

var predictor = regexp.MustCompile(`^(.+?)-predictor(-|$)`)

// modelOf is the model that an object of KServe with this name serves, by KServe's way of naming.
func modelOf(name string) string {
	if parts := predictor.FindStringSubmatch(name); parts != nil {
		return parts[1]
	}
	return ""
}

// place sets what the place says where the document comes from. Nothing a container prints stands against it: its
// own word is kept under another name.
func (d document) place(fields map[string]string) {
	for _, key := range d.keys() {
		owned := key == environmentField || key == "kubernetes" || strings.HasPrefix(key, "kubernetes.")
		if !owned {
			continue
		}
		if word, ok := d[key].(string); !ok || word != fields[key] {
			d[claimed+key] = d[key]
		}
		delete(d, key)
	}
	for key, value := range fields {
		if value != "" {
			d[key] = value
		}
	}
}

func (d document) keys() []string {
	keys := make([]string, 0, len(d))
	for key := range d {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

var year = regexp.MustCompile(`^\d{4}-`)

// parseECS is the line's fields by dotted name; nil for a line that is no ECS JSON, and an error where the line is one
// that the index must not take as it is.
func parseECS(text string) (document, error) {
	if !strings.HasPrefix(text, "{") {
		return nil, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if decoder.Decode(&object) != nil {
		return nil, nil
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, nil
	}
	if at, ok := object[timeField].(string); !ok || !year.MatchString(at) {
		return nil, nil
	}
	body := document{}
	if !body.flatten("", object, 0) {
		return nil, errors.New("the line is nested too deeply")
	}
	if len(body) > maxFields {
		// One such line would use up the fields that the index has for all.
		small := document{originalField: text, tagsField: []any{refusedTag}, timeField: body[timeField]}
		small.keep(body)
		small[reasonField] = "the line has too many fields"
		return small, nil
	}
	return body, nil
}

// keep takes the well-known fields of another document, where they are plain texts.
func (d document) keep(other map[string]any) {
	for _, key := range kept {
		if word, ok := other[key].(string); ok {
			d[key] = word
		}
	}
	for key, value := range other {
		word, ok := value.(string)
		if ok && (key == environmentField || strings.HasPrefix(key, "kubernetes.")) {
			d[key] = word
		}
	}
}

func (d document) flatten(prefix string, object map[string]any, depth int) bool {
	if depth > maxDepth {
		return false
	}
	for key, value := range object {
		if inner, ok := value.(map[string]any); ok && len(inner) > 0 {
			if !d.flatten(prefix+key+".", inner, depth+1) {
				return false
			}
			continue
		}
		plain, ok := plainValue(value, depth)
		if !ok {
			return false
		}
		d[prefix+key] = plain
	}
	return true
}

// plainValue turns numbers into what a record can hold; one that is too large stays a text, exactly.
func plainValue(value any, depth int) (any, bool) {
	if depth > maxDepth {
		return nil, false
	}
	switch typed := value.(type) {
	case json.Number:
		if whole, err := typed.Int64(); err == nil {
			return whole, true
		}
		if number, err := typed.Float64(); err == nil && strings.ContainsAny(string(typed), ".eE") {
			return number, true
		}
		return string(typed), true
	case []any:
		for index, element := range typed {
			plain, ok := plainValue(element, depth+1)
			if !ok {
				return nil, false
			}
			typed[index] = plain
		}
	case map[string]any:
		for key, element := range typed {
			plain, ok := plainValue(element, depth+1)
			if !ok {
				return nil, false
			}
			typed[key] = plain
		}
	}
	return value, true
}

func isTime(text string) bool {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700"} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}

// refusedDocument is the form in which the store takes what it has refused: the well-known fields, and all of it as
// one text.
func refusedDocument(source []byte, reason string) document {
	var fields map[string]any
	if json.Unmarshal(source, &fields) != nil {
		fields = map[string]any{}
	}
	body := document{originalField: string(bytes.ToValidUTF8(source, []byte("\uFFFD"))), reasonField: reason}
	body[tagsField] = []any{refusedTag}
	body.keep(fields)
	body[reasonField] = reason
	if at, ok := fields[timeField].(string); ok && isTime(at) {
		body[timeField] = at
	} else {
		body[timeField] = time.Now().UTC().Format(time.RFC3339Nano)
	}
	return body
}
