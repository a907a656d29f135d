/**
 * How much memory the worker of a page has, over the DevTools protocol: the driver has no session of a worker.
 *
 * @param {import('playwright-core').Page} page
 * @returns {Promise<() => Promise<number>>} bytes of its JavaScript heap, of what the browser keeps for that, and of its buffers
 */
export async function workerHeap(page) {
  const session = await page.context().newCDPSession(page);
  /** @type {Map<number, { resolve: (result: any) => void; reject: (error: Error) => void }>} */
  const waiting = new Map();
  /** @type {Promise<string>} */
  const worker = new Promise((resolve) => {
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type === 'worker') resolve(sessionId);
    });
  });
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result, error } = JSON.parse(message);
    const call = waiting.get(id);
    waiting.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result);
  });
  await session.send('Target.setAutoAttach', {
    autoAttach: true,
    waitForDebuggerOnStart: false,
    flatten: false,
  });
  const sessionId = await worker;
  let id = 0;
  return async () => {
    const answer = new Promise((resolve, reject) => waiting.set(++id, { resolve, reject }));
    const message = JSON.stringify({ id, method: 'Runtime.getHeapUsage' });
    await session.send('Target.sendMessageToTarget', { message, sessionId });
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await answer;
    return usedSize + embedderHeapUsedSize + backingStorageSize;
  };
}
