// An OpenTelemetry Collector with the parts the log stack uses: it reads the
// node's container logs or the cluster's events, and writes them to Elasticsearch.
package main

import (
	"context"
	"log"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/elasticsearchexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

var version = "0.0.0"

// bodymap is an exporter whose documents are the bodies of the log records. Since 0.145 the exporter takes this
// from the records' scope alone.
type bodymap struct{ exporter.Logs }

func (bodymap) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (b bodymap) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			scope.Scope().Attributes().PutStr("elastic.mapping.mode", "bodymap")
		}
	}
	return b.Logs.ConsumeLogs(ctx, logs)
}

func bodymapExporter() exporter.Factory {
	inner := elasticsearchexporter.NewFactory()
	create := func(ctx context.Context, set exporter.Settings, config component.Config) (exporter.Logs, error) {
		logs, err := inner.CreateLogs(ctx, set, config)
		return bodymap{logs}, err
	}
	return exporter.NewFactory(inner.Type(), inner.CreateDefaultConfig, exporter.WithLogs(create, inner.LogsStability()))
}

// selfLog writes the collector's own log to standard error, as ECS; it has no metrics and traces of its own.
// These lines are shipped as well. What is said about a line would be the next line, so each message is said
// five times a minute at most.
func selfLog() telemetry.Factory {
	create := func(
		_ context.Context, set telemetry.LoggerSettings, _ component.Config,
	) (*zap.Logger, component.ShutdownFunc, error) {
		build := set.BuildZapLogger
		if build == nil {
			build = zap.Config.Build
		}
		config := zap.NewProductionConfig()
		config.Sampling = nil
		config.DisableCaller = true
		config.EncoderConfig.TimeKey = "@timestamp"
		config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		config.EncoderConfig.LevelKey = "log.level"
		config.EncoderConfig.NameKey = "log.logger"
		config.EncoderConfig.MessageKey = "message"
		config.EncoderConfig.StacktraceKey = "error.stack_trace"
		sampled := zap.WrapCore(func(core zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(core, time.Minute, 5, 0)
		})
		logger, err := build(config, append(set.ZapOptions, sampled)...)
		return logger, nil, err
	}
	empty := func() component.Config { return &struct{}{} }
	return telemetry.NewFactory(empty, telemetry.WithCreateLogger(create))
}

func factories() (otelcol.Factories, error) {
	receivers, err := otelcol.MakeFactoryMap[receiver.Factory](podLogsReceiver(), eventsReceiver())
	if err != nil {
		return otelcol.Factories{}, err
	}
	exporters, err := otelcol.MakeFactoryMap[exporter.Factory](bodymapExporter())
	if err != nil {
		return otelcol.Factories{}, err
	}
	extensions, err := otelcol.MakeFactoryMap[extension.Factory](filestorage.NewFactory(), refusedExtension())
	return otelcol.Factories{
		Receivers:  receivers,
		Processors: map[component.Type]processor.Factory{},
		Exporters:  exporters,
		Extensions: extensions,
		Telemetry:  selfLog(),
	}, err
}

func main() {
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol", Description: "Stellwerk log shipper", Version: version},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
				// The default, env, is none of the providers.
				DefaultScheme: "file",
			},
		},
	})
	if err := command.Execute(); err != nil {
		log.Fatal(err)
	}
}
