/**
 * One client over several server nodes, any of which can answer anything: it stays with one while that one answers
 * and moves to the next when it does not.
 *
 * Invariants: a call is made once; whoever called decides whether to repeat it, and then reaches the next node. Calls
 * that fail together move on by one node, not by one each.
 */
import { type Logger, type MtlsClient } from '@cardwright/runtime';

export interface ServerNode {
  readonly origin: string;
  readonly client: MtlsClient;
}

/** @throws RangeError when there is no node */
export function createServerNodes(nodes: readonly ServerNode[], logger: Logger): MtlsClient {
  const [first] = nodes;
  if (first === undefined) throw new RangeError('a station needs a server');
  let current = first;

  const leave = (failed: ServerNode, reason: string): void => {
    if (current !== failed || nodes.length === 1) return;
    current = nodes[(nodes.indexOf(failed) + 1) % nodes.length] ?? first;
    logger.event('agent.server-changed', { from: failed.origin, to: current.origin, reason });
  };
  const reasonOf = (error: unknown): string => {
    const { code, name } = error as { code?: unknown; name?: unknown };
    return typeof code === 'string' ? code : typeof name === 'string' ? name : 'UNKNOWN';
  };
  return {
    request: async (request) => {
      const node = current;
      try {
        const answer = await node.client.request(request);
        // A node without its database or vault cannot serve; another one may.
        if (answer.status >= 500) leave(node, `HTTP_${String(answer.status)}`);
        return answer;
      } catch (error) {
        leave(node, reasonOf(error));
        throw error;
      }
    },
    stream: async (path, options) => {
      const node = current;
      try {
        return await node.client.stream(path, options);
      } catch (error) {
        if (!options.signal.aborted) leave(node, reasonOf(error));
        throw error;
      }
    },
    close: async () => {
      await Promise.all(nodes.map((node) => node.client.close()));
    },
  };
}
