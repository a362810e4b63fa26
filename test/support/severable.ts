import { TransportError } from '../../src/errors.js';
import type { Delivery, Login, Network, Transport } from '../../src/transport/port.js';

/** A network whose running deliveries can all be made to fail at once; they can begin again at once. */
export function severable(network: Network): { transport(login: Login): Transport; sever(): Promise<void> } {
  const running = new Set<() => void>();
  return {
    transport(login) {
      const inner = network.transport(login);
      return { ...inner, deliveries: (options) => ({ [Symbol.asyncIterator]: () => iterate(inner, options) }) };
    },
    async sever() {
      for (const cut of running) cut();
      running.clear();
    },
  };

  function iterate(inner: Transport, options: Parameters<Transport['deliveries']>[0]): AsyncIterator<Delivery> {
    const iterator = inner.deliveries(options)[Symbol.asyncIterator]();
    const severed = new Promise<never>((_, reject) => {
      running.add(() => {
        reject(new TransportError('ERR_OFFLINE', 'severed'));
        void iterator.return?.();
      });
    });
    severed.catch(() => {});
    return {
      next: () => Promise.race([iterator.next(), severed]),
      return: () => iterator.return!(),
    };
  }
}
