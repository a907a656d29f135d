const files = import.meta.glob<string>('/shaders/**/*.wgsl', {
  query: '?raw',
  import: 'default',
  eager: true,
});

/** Text of shaders/<name>.wgsl, unexpanded. */
export function shaderSource(name: string): string {
  const text = files[`/shaders/${name}.wgsl`];
  if (text === undefined) throw new Error(`there is no shaders/${name}.wgsl`);
  return text;
}

/** Names of all kernels in reading order (library files left out). */
export function shaderNames(): string[] {
  return Object.keys(files)
    .map((path) => path.slice('/shaders/'.length, -'.wgsl'.length))
    .filter((name) => !name.startsWith('lib/'))
    .sort();
}
