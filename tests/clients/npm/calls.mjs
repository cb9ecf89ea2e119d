// Runs commands through OpenSandbox's JavaScript SDK: `node calls.mjs PACKAGE DOMAIN`, PACKAGE being the SDK's folder.
// Reads lines of JSON, `[service, method, ...arguments]`, and answers each with a line: what the method returned, or
// `{"error": text}`; the first line that it writes is the sandbox's id. All of them are calls on one sandbox, which is
// made at first and killed at the end of the input.

import readline from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, domain] = process.argv.slice(2);
const { ConnectionConfig, Sandbox } = await import(pathToFileURL(`${folder}/dist/index.js`));
const sandbox = await Sandbox.create({ connectionConfig: new ConnectionConfig({ domain }), image: "any" });

process.stdout.write(JSON.stringify(sandbox.id) + "\n");

// Bytes are told as text, and what a method does not return as null.
const told = (value) => (value instanceof Uint8Array ? Buffer.from(value).toString("utf8") : (value ?? null));

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [service, method, ...given] = JSON.parse(line);
  let answer;
  try {
    answer = told(await sandbox[service][method](...given));
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await sandbox.kill();
await sandbox.close();
