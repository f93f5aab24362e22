"""A client of NATS by nats-py, to check the agent against another implementation.

Messages are lines of JSON: `subject`, `value` in base64, and `headers`, an object of texts.

api URL SUBJECT                       sends the request from standard input, and prints the answer
send URL                              publishes the messages from standard input; a stream must confirm them
core URL                              the same without confirmations
count URL SUBJECT FROM TO             publishes the numbers from FROM to before TO as text, each with its own id
listen URL SUBJECT COUNT              prints so many messages of a subject, after the line `{}` when it listens
read URL STREAM                       prints all messages of a stream
values URL STREAM                     prints how often each value is in a stream, as one object
"""

import asyncio
import base64
import collections
import json
import sys

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy


def encode(value):
    return base64.b64encode(value).decode()


def shown(message):
    return {"subject": message.subject, "value": encode(message.data), "headers": dict(message.headers or {})}


async def api(client, subject):
    answer = await client.request(subject, sys.stdin.read().encode(), timeout=10)
    print(answer.data.decode())


async def send(client):
    stream = client.jetstream(timeout=30)
    for line in sys.stdin:
        message = json.loads(line)
        await stream.publish(message["subject"], base64.b64decode(message["value"]), headers=message.get("headers"))


async def core(client):
    for line in sys.stdin:
        message = json.loads(line)
        await client.publish(message["subject"], base64.b64decode(message["value"]), headers=message.get("headers"))
    await client.flush()


async def count(client, subject, first, end):
    stream = client.jetstream(timeout=5)

    async def publish(number):
        while True:
            try:
                # With its id, what is sent again is in the stream once.
                return await stream.publish(subject, str(number).encode(), headers={"Nats-Msg-Id": f"n{number}"})
            except Exception as error:
                print(error, file=sys.stderr)
                await asyncio.sleep(0.2)

    for start in range(int(first), int(end), 500):
        await asyncio.gather(*(publish(number) for number in range(start, min(start + 500, int(end)))))
        # So slowly that something can happen meanwhile.
        await asyncio.sleep(0.05)


async def listen(client, subject, count):
    subscription = await client.subscribe(subject)
    await client.flush()
    print("{}", flush=True)
    for _ in range(int(count)):
        print(json.dumps(shown(await subscription.next_msg(timeout=60))), flush=True)


async def all_messages(client, stream):
    context = client.jetstream(timeout=10)
    # A consumer without acknowledgements, which counts for no other one.
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=60)
    left = (await context.stream_info(stream)).state.messages
    subscription = await context.pull_subscribe(">", stream=stream, config=config)
    while left > 0:
        for message in await subscription.fetch(min(left, 1000), timeout=10):
            left -= 1
            yield message


async def read(client, stream):
    async for message in all_messages(client, stream):
        print(json.dumps(shown(message)))


async def values(client, stream):
    found = collections.Counter()
    async for message in all_messages(client, stream):
        found[message.data.decode("latin-1")] += 1
    print(json.dumps(found))


COMMANDS = {"api": api, "send": send, "core": core, "count": count, "listen": listen, "read": read, "values": values}


async def quiet(_):
    pass


async def main(command, url, *arguments):
    # The server can be down for a while.
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=quiet,
                                allow_reconnect=True, connect_timeout=5)
    await COMMANDS[command](client, *arguments)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
