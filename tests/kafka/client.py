"""A client of Kafka by librdkafka, to check the agent against another implementation.

All messages are lines of JSON: `partition`, `key`, `value`, and `headers`, a list of names and values. Bytes are base64.
The variables KAFKA_CA, KAFKA_CRT and KAFKA_KEY name certificates for TLS; KAFKA_USER and KAFKA_PASSWORD are for SCRAM.

topic SERVER TOPIC PARTITIONS      creates a topic
send SERVER TOPIC                  sends the messages from standard input
count SERVER TOPIC END             sends the numbers from 0 to before END as text, with the last digit as the key
read SERVER TOPIC                  prints all messages of a topic
ends SERVER TOPIC                  prints the end of each partition, as a list
committed SERVER GROUP TOPIC       prints the committed offset of each partition, as a list
"""

import base64
import json
import os
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

# How long a partition must be silent to be read to its end: the server says so only for all batches but the last one.
SILENCE_S = 1


def options(server, **more):
    found = {"bootstrap.servers": server, **{name.replace("_", "."): value for name, value in more.items()}}
    if "KAFKA_CA" in os.environ:
        found |= {"security.protocol": "ssl", "ssl.ca.location": os.environ["KAFKA_CA"],
                  "ssl.certificate.location": os.environ["KAFKA_CRT"], "ssl.key.location": os.environ["KAFKA_KEY"]}
    if "KAFKA_USER" in os.environ:
        found |= {"security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-512",
                  "sasl.username": os.environ["KAFKA_USER"], "sasl.password": os.environ["KAFKA_PASSWORD"]}
    return found


def encode(value):
    return None if value is None else base64.b64encode(value).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


def topic(server, name, partitions):
    # The client must outlive its answer.
    client = AdminClient(options(server))
    client.create_topics([NewTopic(name, int(partitions), 1)])[name].result(30)


def deliver(server, messages):
    # Without idempotence, which gives up when a broker restarts; a message can be in the topic twice.
    producer = Producer(options(server, acks="all", linger_ms=5, message_timeout_ms=80000))
    failed = []

    def ended(error, _):
        if error is not None:
            failed.append(error)

    for message in messages:
        while True:
            try:
                producer.produce(**message, on_delivery=ended)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(90) > 0 or failed:
        sys.exit(f"not delivered: {failed[:3]}")


def send(server, name):
    def message(line):
        read = json.loads(line)
        headers = [(header, decode(value)) for header, value in read.get("headers", [])]
        return {"topic": name, "key": decode(read.get("key")), "value": decode(read.get("value")), "headers": headers}

    deliver(server, map(message, sys.stdin))


def count(server, name, end):
    def message(number):
        # So slowly that something can happen meanwhile.
        if number % 1000 == 0:
            time.sleep(0.1)
        return {"topic": name, "key": str(number % 10), "value": str(number)}

    deliver(server, map(message, range(int(end))))


def partitions(consumer, name):
    found = consumer.list_topics(name, 30).topics[name]
    if found.error is not None:
        raise KafkaException(found.error)
    return [TopicPartition(name, partition, 0) for partition in sorted(found.partitions)]


def read(server, name):
    consumer = Consumer(options(server, group_id="reader", enable_auto_commit=False))
    assigned = partitions(consumer, name)
    missing = sum(consumer.get_watermark_offsets(at, 30)[1] for at in assigned)
    consumer.assign(assigned)
    while (message := consumer.poll(30 if missing > 0 else SILENCE_S)) is not None:
        if message.error():
            raise KafkaException(message.error())
        missing -= 1
        headers = [[header, encode(value)] for header, value in message.headers() or []]
        print(json.dumps({"partition": message.partition(), "offset": message.offset(), "key": encode(message.key()),
                          "value": encode(message.value()), "headers": headers, "time": message.timestamp()[1]}))
    if missing > 0:
        sys.exit(f"{missing} messages are missing")
    consumer.close()


def ends(server, name):
    consumer = Consumer(options(server, group_id="reader"))
    print(json.dumps([consumer.get_watermark_offsets(at, 10)[1] for at in partitions(consumer, name)]))
    consumer.close()


def committed(server, group, name):
    consumer = Consumer(options(server, group_id=group))
    print(json.dumps([at.offset for at in consumer.committed(partitions(consumer, name), 30)]))
    consumer.close()


COMMANDS = {"topic": topic, "send": send, "count": count, "read": read, "ends": ends, "committed": committed}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
