"""Receives callbacks: verifies each, does its work once, answers.

pip install flask standardwebhooks
PORT=8090 WEBHOOK_SECRET=whsec_... python receiver.py
"""

import os
import sqlite3
from contextlib import closing

from flask import Flask, request
from standardwebhooks import Webhook

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1_048_576
webhook = Webhook(os.environ["WEBHOOK_SECRET"])


def work_once(webhook_id: str, envelope: dict) -> bool:
    """Store the id and do the work in one transaction; False if that was done before."""
    with closing(sqlite3.connect(os.environ.get("DATABASE", "receiver.db"))) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS seen (webhook_id TEXT PRIMARY KEY)")
        db.execute("CREATE TABLE IF NOT EXISTS outcomes (order_id TEXT, state TEXT, msg TEXT)")
        if not db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (webhook_id,)).rowcount:
            return False
        data = envelope["data"]  # the work: here, one row
        outcome = (data["order_id"], data["state"], envelope["msg"])
        db.execute("INSERT INTO outcomes VALUES (?, ?, ?)", outcome)
        return True


@app.post("/callback")
def callback():
    try:
        envelope = webhook.verify(request.get_data(), dict(request.headers))
    except Exception:  # the library's own error, and what malformed headers raise in it
        return "", 401
    is_new = work_once(request.headers["webhook-id"], envelope)
    order_id, state = envelope["data"]["order_id"], envelope["data"]["state"]
    print(f"order {order_id}: {state}" + ("" if is_new else ", seen before"), flush=True)
    return "", 204


if __name__ == "__main__":  # in production: gunicorn receiver:app
    app.run(port=int(os.environ["PORT"]))
