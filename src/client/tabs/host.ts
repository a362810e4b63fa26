/** The leading tab's side: runs the calls of the others, and tells them what happens. */

import { UsageError } from '../../errors.js';
import { tabLimits } from '../../limits.js';
import { CALLS, type CallName, type Input } from '../engine.js';
import { timer } from '../platform.js';
import { bySchema } from '../records.js';
import type { ClientEvent } from '../types.js';
import { packError, packEvent, packStatus, type TabMessage } from './messages.js';
import type { TabsOptions } from './tabs.js';

/** What answers the other tabs for one leadership. */
export interface Host {
  /** Calls are answered from now on; says so. */
  announce(): void;
  hear(message: TabMessage): void;
  publish(event: ClientEvent): void;
  /** Nothing is said any more; what runs for others is aborted. */
  end(): void;
}

/** What one tab has asked for. */
interface Peer {
  readonly calls: Map<number, AbortController>;
  readonly consumers: Set<string>;
  /** Questions in a row that it has not answered. */
  silence: number;
}

export function host(
  { seat, account, pulse }: Pick<TabsOptions, 'seat' | 'account' | 'pulse'>,
  term: string,
  say: (message: TabMessage) => void,
): Host {
  const peers = new Map<string, Peer>();
  let isReady = false;
  let hasEnded = false;
  let stopTimer: (() => void) | undefined;

  const post = (message: TabMessage): void => {
    if (!hasEnded) say(message);
  };
  const live = (): void => {
    pulse().then(
      () => post({ kind: 'alive', term }),
      () => {},
    );
  };
  const announce = (): void => post({ kind: 'leading', term, account, device: seat.device(), status: packStatus(seat.status()) });

  const forget = (from: string): void => {
    const peer = peers.get(from);
    peers.delete(from);
    for (const call of peer?.calls.values() ?? []) call.abort();
    for (const consumer of peer?.consumers ?? []) seat.leave(consumer);
  };
  /** A tab that was closed or frozen says nothing: while messages wait, whoever may hold them is asked now and then. */
  const look = (): void => {
    stopTimer = undefined;
    const status = seat.status();
    const isAtStake = 'unackedCount' in status && status.unackedCount > 0;
    for (const [to, peer] of peers) {
      if (peer.calls.size === 0 && peer.consumers.size === 0) peers.delete(to);
      else if (!isAtStake) peer.silence = 0;
      else if (++peer.silence > tabLimits.silentPings) {
        forget(to);
        post({ kind: 'dropped', term, to });
      } else post({ kind: 'who', term, to });
    }
    if (peers.size > 0) stopTimer = timer(look, tabLimits.pingMs);
  };

  const call = (from: string, id: number, name: string, given: Readonly<Record<string, unknown>>): void => {
    const peer = peers.get(from) ?? { calls: new Map(), consumers: new Set(), silence: 0 };
    peers.set(from, peer);
    peer.silence = 0;
    stopTimer ??= timer(look, tabLimits.pingMs);
    if (peer.calls.has(id)) return;
    const abort = new AbortController();
    peer.calls.set(id, abort);
    const answer = (result: { value: readonly unknown[] } | { error: Readonly<Record<string, unknown>> }): void => {
      if (peers.get(from) === peer) post({ kind: 'answer', term, to: from, id, ...result });
      peer.calls.delete(id);
    };
    const run = async (): Promise<unknown> => {
      const schema = Object.hasOwn(CALLS, name) ? CALLS[name as CallName] : undefined;
      const malformed = (): UsageError => new UsageError('ERR_ARGUMENT', 'another tab asks for what there is not', { field: 'name' });
      if (schema === undefined) throw malformed();
      const input = bySchema(schema, given, malformed) as Input<CallName>;
      if ('consumer' in input) peer.consumers.add(input.consumer);
      return seat.call(name as CallName, input, abort.signal);
    };
    run().then(
      (value) => answer({ value: [value] }),
      (error: unknown) => answer({ error: packError(error) }),
    );
  };

  return {
    announce() {
      isReady = true;
      announce();
    },
    hear(message) {
      if (message.kind === 'ping') live();
      if (message.kind === 'hello') (isReady ? announce : live)();
      if (!('term' in message) || message.term !== term || !('from' in message)) return;
      const peer = peers.get(message.from);
      if (peer !== undefined) peer.silence = 0;
      if (message.kind === 'call' && isReady) call(message.from, message.id, message.name, message.input);
      if (message.kind === 'abort') peer?.calls.get(message.id)?.abort();
      if (message.kind === 'bye') forget(message.from);
      if (message.kind === 'leave') {
        peer?.consumers.delete(message.consumer);
        seat.leave(message.consumer);
      }
    },
    publish: (event) => post({ kind: 'event', term, event: packEvent(event) }),
    end() {
      hasEnded = true;
      stopTimer?.();
      for (const from of [...peers.keys()]) forget(from);
    },
  };
}
