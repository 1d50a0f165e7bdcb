/** A guide of docs/guide, made HTML when the console is built. */
declare module '*.md' {
  const guide: { title: string; parts: { id: string; text: string }[]; html: string }
  export default guide
}
