"""The reference program: a relay and its agents, as processes.

Written from docs/protocol.md, README.md and the program's own `--help` alone, and must stay so.
"""

import json
import os
import subprocess
import threading
from pathlib import Path

from .identifiers import decode_id

LONGEST_COMMAND = 60  # seconds
LONGEST_START = 30
LONGEST_STOP = 10


class CommandFailed(RuntimeError):
    def __init__(self, arguments, done):
        command = " ".join(map(str, arguments))
        super().__init__(f"sealpost {command}: exit code {done.returncode}: {done.stdout} {done.stderr}")
        self.exit_code = done.returncode
        self.errors = done.stderr

    @property
    def code(self):
        """The code that the failure says, in its last line."""
        return json.loads(self.errors.splitlines()[-1])["error"]["code"]


class Reference:
    """A relay, and the agents of one home, in a folder of their own."""

    def __init__(self, program, folder):
        self.program = Path(program).absolute()
        self.folder = Path(folder)
        self.data = self.folder / "relay"
        self.log = self.folder / "relay.log"
        self.relay = None
        self.address, self.origin = None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, address="127.0.0.1:0", *options):
        command = [self.program, "serve", "--data-dir", self.data, "--listen", address, "--json", *options]
        with open(self.log, "a") as log:
            self.relay = subprocess.Popen(command, env=self.environment(), stdout=subprocess.PIPE, stderr=log,
                                          text=True)
        # Killed, it closes its output, which ends the reading.
        too_long = threading.Timer(LONGEST_START, self.relay.kill)
        too_long.start()
        started = self.relay.stdout.readline()
        too_long.cancel()
        if not started:
            raise RuntimeError(f"the relay did not start: {self.log.read_text()}")
        self.address, self.origin = (json.loads(started)[name] for name in ("address", "origin"))

    def stop(self):
        if self.relay is None:
            return
        self.relay.terminate()
        try:
            self.relay.wait(LONGEST_STOP)
        except subprocess.TimeoutExpired:
            self.relay.kill()
            self.relay.wait()
        self.relay.stdout.close()
        self.relay = None

    def warnings(self):
        """The last lines of the relay's log that are more than notes."""
        return [line for line in self.log.read_text().splitlines() if '"level":"INFO"' not in line][-20:]

    def environment(self, **more):
        home = str(self.folder / "agents")
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "SEALPOST_HOME": home, **more}

    def run(self, *arguments):
        """The documents that a command prints."""
        return [json.loads(line) for line in self.command(*arguments).stdout.splitlines()]

    def events(self, *arguments):
        """The events that a command tells of on standard error, beside its log."""
        lines = map(json.loads, self.command(*arguments).stderr.splitlines())
        return [line for line in lines if "event" in line]

    def command(self, *arguments):
        done = subprocess.run([self.program, *arguments, "--json"], env=self.environment(SEALPOST_RELAY=self.origin),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_COMMAND)
        if done.returncode:
            raise CommandFailed(arguments, done)
        return done

    def new_agent(self, name):
        return ReferenceAgent(self, name)


class ReferenceAgent:
    """An agent of the reference, by its name in the home."""

    def __init__(self, reference, name):
        self.reference, self.name = reference, name
        self.id = decode_id("agent", reference.run("agent", "new", name)[0]["id"])

    def run(self, command, *arguments):
        return self.reference.run(*command.split(), "--as", self.name, *arguments)

    def send(self, client, *arguments):
        """The id of a message that it sends to a client."""
        return self.run("send", client.name, *arguments)[0]["id"]

    def receive(self, *arguments):
        return self.run("receive", *arguments)

    def missing(self):
        """How many messages it says are missing before those that it receives now."""
        events = self.reference.events("receive", "--as", self.name)
        return [event["count"] for event in events if event["event"] == "message:missing"]

    def texts(self):
        return [message["text"] for message in self.receive()]

    def status(self, message):
        """State of a message, whether it was acknowledged, and what the reference finds of its receipt."""
        status = self.run("status", message)[0]["recipients"][0]
        return status["state"], "acknowledged_at" in status, status["receipt"]
