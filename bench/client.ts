/**
 * This SDK whole: two clients over stores and a network in memory. A message is sent, committed, delivered, decrypted, committed and
 * acknowledged; a session begins with a bundle from the directory and a sealed flight. Counted on the wire are envelopes.
 */

import { type Client, createClient, type Message, type Network } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import type { Meeting, Side, Subject } from '../src/cli/scenarios.js';

/** Bytes of the envelope that carried the message. */
interface Sent {
  readonly envelopeBytes: number;
}

export default function subject({ message }: { message: Uint8Array }): Subject<Sent, never> {
  return {
    async meet() {
      const sizes: number[] = [];
      const network = counting(memoryNetwork(), sizes);
      const [alice, bob] = await Promise.all(
        ['alice', 'bob'].map((account) => createClient({ account, store: memoryStore(), ...network })),
      );
      const initiator = sideOf(alice!, 'bob', message, sizes);
      const responder = sideOf(bob!, 'alice', message, sizes);
      return async (): Promise<Meeting<Sent, never>> => {
        const first = await initiator.seal();
        await responder.open(first);
        return { initiator, responder, first: { envelopeBytes: sizes[0]! }, close: () => void Promise.all([alice!.close(), bob!.close()]) };
      };
    },
    wireBytes: ({ envelopeBytes }) => envelopeBytes,
  };
}

/** The network, noting each envelope's size. */
function counting(network: Network, sizes: number[]): Network {
  return {
    ...network,
    transport(login) {
      const transport = network.transport(login);
      return {
        ...transport,
        send(to, envelope, options) {
          sizes.push(envelope.length);
          return transport.send(to, envelope, options);
        },
      };
    },
  };
}

function sideOf(client: Client, peer: string, message: Uint8Array, sizes: readonly number[]): Side<Sent, never> {
  const inbox: AsyncIterator<Message> = client.messages()[Symbol.asyncIterator]();
  const never = (): never => {
    throw new Error('a client’s sessions are not saved one by one');
  };
  return {
    async seal() {
      await client.send(peer, message);
      return { envelopeBytes: sizes.at(-1)! };
    },
    async open() {
      const { value } = await inbox.next();
      await value.ack();
      if (value.content.kind !== 'bytes') throw new Error('not what was sent');
      return value.content.bytes;
    },
    save: never,
    load: never,
  };
}
