// The TypeScript SDK against our servers: a client that can be asked, one whose person declines, and one that cannot ask.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const url = new URL(process.argv[2]);
const large = { symbol: "ACME", side: "buy", qty: "60", type: "market" };

async function connected(answer) {
  const asked = [];
  const client = new Client(
    { name: "acceptance", version: "1" },
    { capabilities: answer === undefined ? {} : { elicitation: {} } },
  );
  if (answer !== undefined) {
    client.setRequestHandler(ElicitRequestSchema, async (request) => {
      asked.push(request.params);
      return answer;
    });
  }
  await client.connect(new StreamableHTTPClientTransport(url));
  return { client, asked };
}

const text = (result) => result.content.map((part) => part.text ?? "").join("\n");
const orders = async (client) =>
  (await client.callTool({ name: "get_orders", arguments: { status: "all" } })).structuredContent.total;

const agreeing = await connected({ action: "accept", content: { confirm: true } });
const { tools } = await agreeing.client.listTools();
assert(tools.length > 25);
const bars = await agreeing.client.callTool({ name: "get_bars", arguments: { symbol: "ACME", limit: 10 } });
assert.equal(bars.structuredContent.symbol, "ACME");

const updated = new Promise((resolve) =>
  agreeing.client.setNotificationHandler(ResourceUpdatedNotificationSchema, (told) => resolve(told.params.uri)),
);
await agreeing.client.subscribeResource({ uri: "orders://open" });

const before = await orders(agreeing.client);
const placed = await agreeing.client.callTool({ name: "place_order", arguments: large });
assert(!placed.isError, text(placed));
assert.equal(agreeing.asked.length, 1);
assert.match(agreeing.asked[0].message, /ACME/);
assert.equal(await orders(agreeing.client), before + 1);
assert.equal(await updated, "orders://open");

const small = await agreeing.client.callTool({ name: "place_order", arguments: { ...large, qty: "1" } });
assert(!small.isError, text(small));
assert.equal(agreeing.asked.length, 1, "an order below the limit was put to a person");

const declining = await connected({ action: "decline" });
const declined = await declining.client.callTool({ name: "place_order", arguments: { ...large, qty: "61" } });
assert.equal(declining.asked.length, 1);
const unable = await connected(undefined);
const refused = await unable.client.callTool({ name: "place_order", arguments: { ...large, qty: "62" } });
assert(refused.isError, "an order above the limit was sent without asking");
assert(declined.isError, "a declined order was answered as if it were sent");
assert.equal(await orders(agreeing.client), before + 2, "an order that nobody confirmed was sent");

console.log(`TypeScript SDK: ${tools.length} tools; confirmed: ${text(placed).split("\n")[0]}`);
console.log(`TypeScript SDK: declined: ${text(declined).split("\n")[0]}`);
console.log(`TypeScript SDK: cannot ask: ${text(refused).split("\n")[0]}`);
for (const { client } of [agreeing, declining, unable]) await client.close();
