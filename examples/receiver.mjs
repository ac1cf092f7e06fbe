// Receives callbacks: verifies each, does its work once, answers.
//
//     npm install standardwebhooks
//     PORT=8090 WEBHOOK_SECRET=whsec_... node receiver.mjs

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const MAX_BYTES = 1_048_576;
const file = process.env.DATABASE ?? "receiver.log";
const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const text = existsSync(file) ? readFileSync(file, "utf8") : "";
const seen = new Set(text.match(/^\S+(?= .*;$)/gm));

// Id and work are one line, flushed to the disk: both are there or neither. A database does
// that with a transaction.
function workOnce(webhookId, { data }) {
  if (seen.has(webhookId)) return false;
  appendFileSync(file, `\n${webhookId} ${data.order_id} ${data.state};`, { flush: true });
  seen.add(webhookId);
  return true;
}

async function statusFor(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BYTES) chunks.push(chunk);
  }
  if (size > MAX_BYTES) return 413;
  let envelope;
  try {
    envelope = webhook.verify(Buffer.concat(chunks), request.headers);
  } catch {
    return 401;
  }
  const isNew = workOnce(request.headers["webhook-id"], envelope);
  const { order_id, state } = envelope.data;
  console.log(`order ${order_id}: ${state}${isNew ? "" : ", seen before"}`);
  return 204;
}

createServer((request, response) => {
  statusFor(request)
    .catch((error) => (console.error(error), 500)) // 500: kernel comes again
    .then((status) => response.writeHead(status).end());
}).listen(Number(process.env.PORT), "127.0.0.1");
