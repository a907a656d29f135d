import { describe, expect, it, vi } from 'vitest';
import { EngineClient, EngineError, type WorkerPort } from '../../src/app/client.ts';
import { Gate } from '../../src/worker/gate.ts';
import { Pace } from '../../src/worker/pace.ts';
import type { FromWorker, ToWorker } from '../../src/worker/protocol.ts';
import { allShaders } from '../../src/worker/shader-info.ts';

/** A worker whose words the test speaks. */
class FakePort implements WorkerPort {
  sent: ToWorker[] = [];
  dead = false;
  #listeners = new Map<string, (e: unknown) => void>();
  postMessage(message: ToWorker): void {
    this.sent.push(message);
  }
  terminate(): void {
    this.dead = true;
  }
  addEventListener(type: string, listener: unknown): void {
    this.#listeners.set(type, listener as (e: unknown) => void);
  }
  say(message: FromWorker): void {
    this.#listeners.get('message')?.({ data: message });
  }
  crash(): void {
    this.#listeners.get('error')?.({ message: 'boom', preventDefault: () => {} });
  }
}

function connect(): { client: EngineClient; ports: FakePort[] } {
  const ports: FakePort[] = [];
  const client = new EngineClient(() => {
    const port = new FakePort();
    ports.push(port);
    return port;
  });
  return { client, ports };
}

describe('EngineClient', () => {
  it('gives each request its own answer and events', async () => {
    const { client, ports } = connect();
    const events: number[] = [];
    const slow = client.request(
      'evaluate',
      { nodeId: 'a', set: 'V', benign: false, quick: true },
      { onEvent: (e) => events.push(e.done) },
    );
    const fast = client.request('nodes', {});
    ports[0]!.say({ type: 'result', id: 2, result: [] });
    ports[0]!.say({ type: 'event', id: 1, event: { done: 3, total: 9 } });
    ports[0]!.say({
      type: 'error',
      id: 1,
      error: { code: 'quota', what: 'full', safe: 'all', next: 'delete' },
    });
    expect(await fast).toEqual([]);
    await expect(slow).rejects.toMatchObject({ info: { code: 'quota', next: 'delete' } });
    expect(events).toEqual([3]);
  });

  it('passes a cancellation on, also one that came before', () => {
    const { client, ports } = connect();
    const abort = new AbortController();
    void client.request('nodes', {}, { signal: abort.signal });
    expect(ports[0]!.sent).toHaveLength(1);
    abort.abort();
    expect(ports[0]!.sent[1]).toEqual({ type: 'cancel', id: 1 });
    void client.request('nodes', {}, { signal: abort.signal });
    expect(ports[0]!.sent[3]).toEqual({ type: 'cancel', id: 2 });
  });

  it('restarts a crashed worker, fails what was under way, and ignores the dead one', async () => {
    const { client, ports } = connect();
    const crashed = vi.fn();
    client.onCrash = crashed;
    const lost = client.request('nodes', {});
    ports[0]!.crash();
    await expect(lost).rejects.toBeInstanceOf(EngineError);
    await expect(lost).rejects.toMatchObject({ info: { code: 'worker-crashed' } });
    expect(ports[0]!.dead).toBe(true);
    expect(crashed).toHaveBeenCalledOnce();
    const next = client.request('nodes', {});
    expect(ports).toHaveLength(2);
    ports[0]!.say({ type: 'result', id: 2, result: ['from the dead'] });
    ports[1]!.say({ type: 'result', id: 2, result: [] });
    expect(await next).toEqual([]);
  });
});

describe('Gate', () => {
  it('lets a question in before waiting steps, and one piece of work at a time', async () => {
    const gate = new Gate();
    const order: string[] = [];
    let inside = 0;
    const work = (name: string) => async () => {
      expect(++inside).toBe(1);
      await Promise.resolve();
      order.push(name);
      inside--;
    };
    const all = [
      gate.run(2, work('step 1')),
      gate.run(2, work('step 2')),
      gate.run(2, work('eval')),
      gate.run(0, work('chat')),
    ];
    await Promise.all(all);
    expect(order).toEqual(['step 1', 'chat', 'step 2', 'eval']);
  });

  it('goes on after failed and cancelled work', async () => {
    const gate = new Gate();
    const abort = new AbortController();
    const failing = gate.run(1, () => Promise.reject(new Error('broken')));
    const waiting = gate.run(1, () => Promise.resolve('never'), abort.signal);
    abort.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    await expect(failing).rejects.toThrow('broken');
    expect(await gate.run(1, () => Promise.resolve('in'))).toBe('in');
  });
});

describe('Pace', () => {
  it('counts training time only', () => {
    const pace = new Pace();
    pace.step(100, 0);
    pace.step(100, 50);
    pace.probe(400);
    pace.step(100, 5000);
    pace.step(100, 5050);
    expect(pace.tokensPerSecond).toBeCloseTo(2000);
    expect(pace.secondsLeft(10, 2)).toBeCloseTo(0.5 + 0.8);
  });
});

describe('the shader list', () => {
  it('describes every kernel: what it computes, its bindings, its dispatch', () => {
    const shaders = allShaders();
    expect(shaders.length).toBeGreaterThan(20);
    for (const s of shaders) {
      expect(s.doc, s.name).not.toBe('');
      expect(s.bindings.length, s.name).toBeGreaterThan(1);
      expect(s.workgroupSize, s.name).not.toBe('');
      expect(s.dispatch, s.name).not.toBe('');
    }
  });
});
