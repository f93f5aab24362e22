"""Clients and a server of OTLP, by the SDK of OpenTelemetry and gRPC.

receive PORT FILE       answers requests over gRPC and appends each of them to FILE, as a line of JSON
send grpc|http PORT FILE sends the requests in FILE, lines of JSON with the signal and the request
sdk grpc|http PORT      sends what an application makes with the SDK
sdk grpc|http PORT FOLDER the same over TLS, with the files ca.pem, client.pem and client.key in the folder
"""

import json
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

SIGNALS = {
    "logs": (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse,
             logs_service_pb2_grpc.LogsServiceStub, logs_service_pb2_grpc.add_LogsServiceServicer_to_server),
    "metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse,
                metrics_service_pb2_grpc.MetricsServiceStub,
                metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server),
    "traces": (trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse,
               trace_service_pb2_grpc.TraceServiceStub, trace_service_pb2_grpc.add_TraceServiceServicer_to_server),
}


def receive(port, path):
    lock = threading.Lock()

    class Service:
        def __init__(self, signal, response):
            self.signal, self.response, self.calls = signal, response, 0

        def Export(self, request, context):
            with lock:
                self.calls += 1
                # The first call of each signal fails, so clients must repeat it.
                if self.calls == 1:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
                headers = dict(context.invocation_metadata())
                line = {"signal": self.signal, "authorization": headers.get("authorization"),
                        "request": json_format.MessageToDict(request)}
                with open(path, "a", encoding="utf-8") as out:
                    out.write(json.dumps(line) + "\n")
            response = self.response()
            if self.signal == "logs" and "reject-me" in str(request):
                response.partial_success.rejected_log_records = 1
                response.partial_success.error_message = "one is bad"
            return response

    server = grpc.server(futures.ThreadPoolExecutor(4))
    for signal, (_, response, _, add) in SIGNALS.items():
        add(Service(signal, response), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


def send(protocol, port, path):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", compression=grpc.Compression.Gzip)
    for line in open(path, encoding="utf-8"):
        line = json.loads(line)
        make, response, stub, _ = SIGNALS[line["signal"]]
        request = json_format.ParseDict(line["request"], make())
        if protocol == "grpc":
            answer = stub(channel).Export(request, timeout=60)
        else:
            import requests
            answered = requests.post(f"http://127.0.0.1:{port}/v1/{line['signal']}", request.SerializeToString(),
                                     headers={"content-type": "application/x-protobuf"}, timeout=60)
            answered.raise_for_status()
            answer = response.FromString(answered.content)
        print(json.dumps(json_format.MessageToDict(answer)), flush=True)


def sdk(protocol, port, folder=None):
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        options = lambda _: {"endpoint": f"127.0.0.1:{port}", "insecure": True}
        if folder:
            ca, key, crt = (open(f"{folder}/{name}", "rb").read() for name in ("ca.pem", "client.key", "client.pem"))
            credentials = grpc.ssl_channel_credentials(ca, key, crt)
            options = lambda _: {"endpoint": f"localhost:{port}", "credentials": credentials}
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        options = lambda signal: {"endpoint": f"http://127.0.0.1:{port}/v1/{signal}"}
        if folder:
            files = {f"{name}_file": f"{folder}/{file}" for name, file in (
                ("certificate", "ca.pem"), ("client_key", "client.key"), ("client_certificate", "client.pem"))}
            options = lambda signal: {"endpoint": f"https://localhost:{port}/v1/{signal}", **files}
    resource = Resource.create({"service.name": "shop"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**options("traces"))))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(**options("metrics")), 60_000)], resource)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(**options("logs"))))
    import logging
    log = logging.getLogger("shop")
    log.setLevel(logging.INFO)
    log.addHandler(LoggingHandler(logger_provider=loggers))
    tracer, meter = tracers.get_tracer("shop", "1.0"), meters.get_meter("shop", "1.0")
    orders, sizes = meter.create_counter("orders"), meter.create_histogram("sizes", unit="By")
    for number in range(100):
        with tracer.start_as_current_span(f"order {number % 3}") as span:
            span.set_attribute("number", number)
            span.add_event("paid", {"amount": number / 2})
            log.warning("order %d", number, extra={"number": number})
        orders.add(1, {"shop": "a" if number % 2 else "b"})
        sizes.record(number * 10)
    # Each sends what it has; the metrics once.
    for provider in (tracers, loggers, meters):
        provider.shutdown()


if __name__ == "__main__":
    {"receive": receive, "send": send, "sdk": sdk}[sys.argv[1]](*sys.argv[2:])
