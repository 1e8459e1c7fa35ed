// The smallest useful function: it greets, and tells how often this execution environment has been used.

let invocations = 0;

export const handler = async (event) => {
  invocations += 1;
  console.log(`invocation ${invocations} of ${process.env.AWS_LAMBDA_LOG_STREAM_NAME}`);
  return { message: `Hello, ${event.name ?? "world"}!`, invocations };
};
