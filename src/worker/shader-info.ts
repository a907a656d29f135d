/** Reads a shader file's header for the GPU page: the maths and the shapes, the bindings, how it is dispatched. */
import { shaderNames, shaderSource } from '../gpu/shaders.ts';
import type { ShaderInfo } from './protocol.ts';

const BINDING = /@group\((\d+)\)\s*@binding\((\d+)\)\s*(var(?:<[^>]*>)?\s+(\w+)\s*:\s*[^;]+);/g;

export function shaderInfo(name: string, source: string): ShaderInfo {
  const doc: string[] = [];
  for (const line of source.split('\n')) {
    if (!line.startsWith('//') || line.startsWith('//:')) break;
    doc.push(plain(line.replace(/^\/\/ ?/, '')));
  }
  // The same binding may stand in several branches of a template: each is listed once.
  const bindings = new Map<string, ShaderInfo['bindings'][number]>();
  for (const [, group, binding, type, variable] of whole(source).matchAll(BINDING)) {
    const key = `${group}/${binding}/${variable}`;
    bindings.set(key, { group: Number(group), binding: Number(binding), name: variable!, type: type! });
  }
  return {
    name,
    source,
    doc: doc.join('\n'),
    bindings: [...bindings.values()],
    workgroupSize: plain(/@workgroup_size\(([^)]*)\)/.exec(source)?.[1] ?? ''),
    dispatch: dispatchOf(doc.join(' ')),
  };
}

/** With what it includes: bindings may stand there. */
function whole(source: string): string {
  return source.replace(/^\/\/:include (\S+)$/gm, (_, name: string) => whole(shaderSource(name)));
}

/** `${SG}` reads SG: what it stands for is only known when the kernel is built for an adapter. */
function plain(text: string): string {
  return text.replace(/\$\{(\w+)\}/g, '$1');
}

/** The sentence that starts with 'Dispatch:', or those that say what a workgroup or an invocation does. */
function dispatchOf(doc: string): string {
  const sentences = doc.split(/(?<=[.;])\s+/);
  const explicit = sentences.filter((s) => s.startsWith('Dispatch:'));
  return (
    explicit.length > 0 ? explicit : sentences.filter((s) => /\b(workgroup|invocation)\b/i.test(s))
  ).join(' ');
}

export function allShaders(): ShaderInfo[] {
  return shaderNames().map((name) => shaderInfo(name, shaderSource(name)));
}
