/** The dedicated worker of the page: hands messages to the service and answers back. */
import type { FromWorker, ToWorker } from './protocol.ts';
import { Service } from './service.ts';

const scope = self as unknown as {
  postMessage(message: FromWorker): void;
  addEventListener(type: 'message', listener: (e: MessageEvent<ToWorker>) => void): void;
};

const service = new Service({ post: (message) => scope.postMessage(message) });
scope.addEventListener('message', (e) => service.receive(e.data));
