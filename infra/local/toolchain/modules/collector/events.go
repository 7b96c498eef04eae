package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
)

type eventsConfig struct {
	API         string `mapstructure:"api"`
	CAFile      string `mapstructure:"ca_file"`
	TokenFile   string `mapstructure:"token_file"`
	Environment string `mapstructure:"environment"`
	// Index is what the names of daily indices begin with; empty: the exporter's index takes all events.
	Index string `mapstructure:"index"`
}

func eventsReceiver() receiver.Factory {
	create := func(
		_ context.Context, set receiver.Settings, config component.Config, next consumer.Logs,
	) (receiver.Logs, error) {
		typed := config.(*eventsConfig)
		environment, err := regexp.Compile(typed.Environment)
		if err != nil {
			return nil, err
		}
		return &events{set: set, config: typed, next: next, environment: environment}, nil
	}
	empty := func() component.Config { return &eventsConfig{} }
	return receiver.NewFactory(
		component.MustNewType("events"), empty, receiver.WithLogs(create, component.StabilityLevelStable),
	)
}

// events follows the cluster's events: it lists them, which the API server keeps for an hour, and watches from there.
// It keeps no position: an event that comes again has the same document id.
type events struct {
	set         receiver.Settings
	config      *eventsConfig
	next        consumer.Logs
	environment *regexp.Regexp
	client      *http.Client
	stop        context.CancelFunc
	ended       chan struct{}
}

type event struct {
	Metadata struct {
		UID               string    `json:"uid"`
		ResourceVersion   string    `json:"resourceVersion"`
		Namespace         string    `json:"namespace"`
		CreationTimestamp time.Time `json:"creationTimestamp"`
	} `json:"metadata"`
	Object struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
		FieldPath string `json:"fieldPath"`
	} `json:"involvedObject"`
	Reason        string     `json:"reason"`
	Message       string     `json:"message"`
	Type          string     `json:"type"`
	Count         int64      `json:"count"`
	LastTimestamp *time.Time `json:"lastTimestamp"`
	EventTime     *time.Time `json:"eventTime"`
	Series        *struct {
		Count int64      `json:"count"`
		Last  *time.Time `json:"lastObservedTime"`
	} `json:"series"`
	Source struct {
		Component string `json:"component"`
	} `json:"source"`
	Reporter string `json:"reportingComponent"`
}

func (r *events) Start(context.Context, component.Host) error {
	trust := x509.NewCertPool()
	if pem, err := os.ReadFile(r.config.CAFile); err != nil || !trust.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate (%w)", r.config.CAFile, errors.Join(err))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12}}
	transport.ResponseHeaderTimeout = time.Minute
	r.client = &http.Client{Transport: transport}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.ended = stop, make(chan struct{})
	go func() {
		defer close(r.ended)
		r.follow(ctx)
	}()
	return nil
}

func (r *events) Shutdown(ctx context.Context) error {
	if r.stop == nil {
		return nil
	}
	r.stop()
	select {
	case <-r.ended:
	case <-ctx.Done():
	}
	return nil
}

func (r *events) follow(ctx context.Context) {
	for ctx.Err() == nil {
		version, err := r.list(ctx)
		for err == nil {
			version, err = r.watch(ctx, version)
		}
		if ctx.Err() == nil {
			r.set.Logger.Warn("the events are listed again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}

// list ships the events there are, and returns the version to watch from.
func (r *events) list(ctx context.Context) (string, error) {
	next := ""
	for {
		var page struct {
			Metadata struct {
				ResourceVersion string `json:"resourceVersion"`
				Continue        string `json:"continue"`
			} `json:"metadata"`
			Items []event `json:"items"`
		}
		err := r.get(ctx, url.Values{"limit": {"500"}, "continue": {next}}, func(body *json.Decoder) error {
			return body.Decode(&page)
		})
		if err != nil {
			return "", err
		}
		r.ship(page.Items)
		if next = page.Metadata.Continue; next == "" {
			return page.Metadata.ResourceVersion, nil
		}
	}
}

// watch ships what happens after `version` for some minutes, and returns the version it has come to.
func (r *events) watch(ctx context.Context, version string) (string, error) {
	query := url.Values{
		"watch": {"true"}, "resourceVersion": {version}, "allowWatchBookmarks": {"true"}, "timeoutSeconds": {"300"},
	}
	// A connection that died without a word ends here.
	ctx, cancel := context.WithTimeout(ctx, 6*time.Minute)
	defer cancel()
	err := r.get(ctx, query, func(body *json.Decoder) error {
		for {
			var change struct {
				Type   string `json:"type"`
				Object event  `json:"object"`
			}
			if err := body.Decode(&change); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			switch change.Type {
			case "ADDED", "MODIFIED":
				r.ship([]event{change.Object})
			case "ERROR":
				return fmt.Errorf("watch ended: %s", change.Object.Message)
			}
			version = change.Object.Metadata.ResourceVersion
		}
	})
	return version, err
}

func (r *events) get(ctx context.Context, query url.Values, read func(*json.Decoder) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.config.API+"/api/v1/events?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	// The kubelet renews the token in place.
	token, err := os.ReadFile(r.config.TokenFile)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("events: %s: %s", response.Status, text)
	}
	return read(json.NewDecoder(response.Body))
}

func (r *events) ship(all []event) {
	batch := newBatch()
	for index := range all {
		one := &all[index]
		id := "event/" + one.Metadata.UID + "/" + one.Metadata.ResourceVersion
		place := environmentOf(r.environment, cmp.Or(one.Object.Namespace, one.Metadata.Namespace))
		batch.add(id, dailyIndex(r.config.Index, place, one.Metadata.CreationTimestamp), one.document(r.environment))
	}
	deliver(r.next, batch, r.set.Logger)
}

var inPod = regexp.MustCompile(`\{(.+)\}`)

func (e *event) document(environment *regexp.Regexp) document {
	namespace := cmp.Or(e.Object.Namespace, e.Metadata.Namespace)
	level := "info"
	if e.Type != "Normal" {
		level = "warn"
	}
	body := document{
		timeField: e.at().UTC().Format(time.RFC3339Nano), messageField: e.Reason + ": " + e.Message, levelField: level,
		"event.kind": "event", "event.dataset": "kubernetes.events", "event.reason": e.Reason,
		"kubernetes.event.object.kind": e.Object.Kind, "kubernetes.event.object.name": e.Object.Name,
		"kubernetes.event.count": max(e.Count, 1),
	}
	if e.Series != nil {
		body["kubernetes.event.count"] = e.Series.Count
	}
	set := func(field, value string) {
		if value != "" {
			body[field] = value
		}
	}
	set("event.provider", cmp.Or(e.Reporter, e.Source.Component))
	set(namespaceField, namespace)
	set(environmentField, environmentOf(environment, namespace))
	if e.Object.Kind == "Pod" {
		set(podField, e.Object.Name)
		if parts := inPod.FindStringSubmatch(e.Object.FieldPath); parts != nil {
			set(containerField, parts[1])
		}
	}
	set(modelField, modelOf(e.Object.Name))
	if e.Object.Kind == "InferenceService" {
		set(modelField, e.Object.Name)
	}
	return body
}

func (e *event) at() time.Time {
	if e.Series != nil && e.Series.Last != nil {
		return *e.Series.Last
	}
	for _, each := range []*time.Time{e.LastTimestamp, e.EventTime} {
		if each != nil && !each.IsZero() {
			return *each
		}
	}
	return e.Metadata.CreationTimestamp
}
