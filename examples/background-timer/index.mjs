// What does a function's background work do between two invocations?
//
// Two answers to "how many seconds since init?": one calculated from the clock, one counted by a timer in the background, a tick a
// second. On a machine that runs on, they agree. In an execution environment that is frozen between invocations, the clock goes on
// and the timer stands still: it counts the seconds the environment was running, and one more at each thaw, because the tick that
// fell due during the freeze fires late, and first.

const startedAt = Date.now();
let counted = 0;

setInterval(() => {
  counted += 1;
}, 1000);

export const handler = async () => ({
  calculated: Math.floor((Date.now() - startedAt) / 1000),
  counted,
});
