package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer/attrs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
)

type podLogsConfig struct {
	Include []string     `mapstructure:"include"`
	Exclude []string     `mapstructure:"exclude"`
	Storage component.ID `mapstructure:"storage"`
	// Environment is a regular expression for names of namespaces; its first group is the environment.
	Environment string `mapstructure:"environment"`
	// Index is what the names of daily indices begin with; empty: the exporter's index takes all lines.
	Index string `mapstructure:"index"`
}

func podLogsReceiver() receiver.Factory {
	create := func(
		_ context.Context, set receiver.Settings, config component.Config, next consumer.Logs,
	) (receiver.Logs, error) {
		typed := config.(*podLogsConfig)
		environment, err := regexp.Compile(typed.Environment)
		if err != nil {
			return nil, err
		}
		return &podLogs{set: set, config: typed, next: next, environment: environment}, nil
	}
	empty := func() component.Config { return &podLogsConfig{} }
	return receiver.NewFactory(
		component.MustNewType("podlogs"), empty, receiver.WithLogs(create, component.StabilityLevelStable),
	)
}

// podLogs reads the files of the container runtime. The library follows the files and keeps positions; a position
// moves by whole groups, after their documents are in the queue on disk.
type podLogs struct {
	set         receiver.Settings
	config      *podLogsConfig
	next        consumer.Logs
	environment *regexp.Regexp
	files       *fileconsumer.Manager
	positions   storage.Client
}

func (r *podLogs) Start(ctx context.Context, host component.Host) error {
	extension, ok := host.GetExtensions()[r.config.Storage].(storage.Extension)
	if !ok {
		return fmt.Errorf("no storage %q", r.config.Storage)
	}
	var err error
	if r.positions, err = extension.GetClient(ctx, component.KindReceiver, r.set.ID, ""); err != nil {
		return err
	}
	config := fileconsumer.NewConfig()
	config.Include, config.Exclude = r.config.Include, r.config.Exclude
	config.StartAt = "beginning"
	// Each look at the folder costs the node, whether or not a line was written: the library's five a second are more
	// than anybody who waits for a line sees.
	config.PollInterval = time.Second
	config.Encoding = "nop"
	config.Resolver = attrs.Resolver{IncludeFilePath: true}
	config.MaxLogSize = 4 * maxLine
	// Half of them are read at a time: this bounds the memory.
	config.MaxConcurrentFiles = 4
	// What is not complete is read again; groups know their own time.
	config.FlushPeriod = 0
	if r.files, err = config.Build(r.set.TelemetrySettings, r.emit, fileconsumer.WithSplitFunc(splitGroups)); err != nil {
		return err
	}
	return r.files.Start(r.positions)
}

func (r *podLogs) Shutdown(ctx context.Context) error {
	if r.files == nil {
		return nil
	}
	if err := r.files.Stop(); err != nil {
		return err
	}
	return r.positions.Close(ctx)
}

// emit waits until the queue has taken the documents: when it returns, the library moves the position.
func (r *podLogs) emit(
	_ context.Context, tokens [][]byte, attributes map[string]any, _ int64, offsets []int64,
) error {
	path, _ := attributes[attrs.LogFilePath].(string)
	from, ok := parsePath(path)
	if !ok {
		r.set.Logger.Error("not a path of a pod's log", zap.String("log.file.path", path))
		return nil
	}
	environment := environmentOf(r.environment, from.namespace)
	batch := newBatch()
	for index, token := range tokens {
		for _, each := range groups(token, time.Now()) {
			if each.malformed {
				each.time, each.stamp = time.Now(), filepath.Base(path)
			}
			offset := offsets[index] + int64(each.first)
			body := lineDocument(each, from, environment)
			if body[shippingField] == byApplication {
				continue
			}
			id := fmt.Sprintf("%s/%s/%s/%s/%d", from.uid, from.container, from.restart, each.stamp, offset)
			at := each.time
			if own, of, ok := ownID(body, from, at); ok {
				id, at = own, of
			}
			batch.add(id, dailyIndex(r.config.Index, environment, at), body)
		}
	}
	deliver(r.next, batch, r.set.Logger)
	return nil
}

func environmentOf(pattern *regexp.Regexp, namespace string) string {
	if parts := pattern.FindStringSubmatch(namespace); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

// dailyIndex is the index of an environment's lines of one day, so that old ones are deleted as a whole. The time is
// the runtime's: a line that is read again goes into the same index, and none makes an index of a day that it claims.
func dailyIndex(prefix, environment string, at time.Time) string {
	if prefix == "" {
		return ""
	}
	if environment != "" {
		prefix += "-" + environment
	}
	return prefix + at.UTC().Format("-2006.01.02")
}

type batch struct {
	logs    plog.Logs
	records plog.LogRecordSlice
}

func newBatch() batch {
	logs := plog.NewLogs()
	return batch{logs, logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()}
}

func (b batch) add(id, index string, body document) {
	record := b.records.AppendEmpty()
	if index != "" {
		record.Attributes().PutStr("elasticsearch.index", index)
	}
	record.Attributes().PutStr("elasticsearch.document_id", id)
	if err := record.Body().SetEmptyMap().FromRaw(body); err != nil {
		_ = record.Body().SetEmptyMap().FromRaw(document{timeField: body[timeField], reasonField: err.Error()})
	}
}

// deliver tries until the queue on disk has the batch. The wait ends with the process: the positions stay.
func deliver(next consumer.Logs, b batch, logger *zap.Logger) {
	for b.records.Len() > 0 {
		waited := tellWhileWaiting(logger)
		err := next.ConsumeLogs(context.Background(), b.logs)
		waited()
		if err == nil {
			return
		}
		logger.Error("the queue does not take lines", zap.Error(err))
		time.Sleep(time.Second)
	}
}

// A write into the queue takes milliseconds; one that waits this long waits for room.
const fullAfter = 10 * time.Second

// tellWhileWaiting says that the queue on disk is full, again and again, until what it returns is called.
func tellWhileWaiting(logger *zap.Logger) func() {
	began, ended := time.Now(), make(chan struct{})
	go func() {
		tick := time.NewTicker(fullAfter)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				logger.Error("the buffer on disk is full: nothing is read until the store takes lines; " +
					"the kubelet deletes the oldest files of a container that goes on writing")
			}
		}
	}()
	return func() {
		close(ended)
		if waited := time.Since(began); waited > fullAfter {
			logger.Warn("the buffer on disk takes lines again", zap.Duration("waited", waited))
		}
	}
}
