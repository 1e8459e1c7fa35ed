import { setTimeout as sleep } from "node:timers/promises";

const loaded = await Promise.resolve("awaited at the top");

export const handler = async (event) => ({ event, loaded, file: import.meta.url });

export const stream = awslambda.streamifyResponse(async (event, response, context) => {
  response.setContentType("text/plain");
  for (let part = 0; part < event.parts; part += 1) {
    response.write(`part ${part} of ${context.awsRequestId}\n`);
    await sleep(event.pause ?? 1);
    if (part === event.failAt) throw new Error("in the middle");
  }
  if (event.hang) await sleep(60000);
  response.end();
  await response.finished?.();
});
