// Measures @vercel/fun from inside, as it is used: node fun.mjs PACKAGE CODE SECONDS STARTS. Prints {"warm": [s, ...], "cold": [s, ...]}.

import { createRequire } from "node:module";

const [packageDirectory, code, seconds, starts] = process.argv.slice(2);
const { createFunction } = createRequire(import.meta.url)(packageDirectory);

const timed = async (fn) => {
  const began = process.hrtime.bigint();
  const answer = await fn({ hello: "world" });
  if (answer.hello !== "world") throw new Error(`the function answered ${JSON.stringify(answer)}`);
  return Number(process.hrtime.bigint() - began) / 1e9;
};

const warm = [];
const cold = [];
for (let start = 0; start < Number(starts); start += 1) {
  const fn = await createFunction({ Code: { Directory: code }, Handler: "index.handler", Runtime: "nodejs", Timeout: 30 });
  cold.push(await timed(fn));
  for (let i = 0; i < 100; i += 1) await timed(fn);
  const end = performance.now() + (Number(seconds) * 1000) / Number(starts);
  while (performance.now() < end) warm.push(await timed(fn));
  await fn.destroy();
}
// A pipe takes its time; what has not been written when a process exits is lost.
process.stdout.write(`${JSON.stringify({ warm, cold })}\n`, () => process.exit(0));
