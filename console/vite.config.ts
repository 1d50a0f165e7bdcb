import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import vue from '@vitejs/plugin-vue'
import Components from 'unplugin-vue-components/vite'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import { defineConfig, type Plugin } from 'vite'
import { render } from './markdown'

const OUT = fileURLToPath(new URL('../src/sharpeyes/console', import.meta.url))

/** Packs the assets once, here, so that the service never compresses while somebody waits. */
function pack(): Plugin {
  return {
    name: 'pack',
    apply: 'build',
    closeBundle() {
      for (const name of readdirSync(join(OUT, 'assets'))) {
        const file = join(OUT, 'assets', name)
        const data = readFileSync(file)
        if (/\.(js|css|svg)$/.test(name) && data.length > 1024) {
          writeFileSync(`${file}.gz`, gzipSync(data, { level: 9 }))
        }
      }
    },
  }
}

/** The guides as pages of HTML, with their pictures if those have been made; links lead to the other guides only. */
function guides(): Plugin {
  return {
    name: 'guides',
    enforce: 'pre',
    load(id) {
      if (!id.endsWith('.md')) return
      const pictures: string[] = []
      const guide = render(
        readFileSync(id, 'utf-8').replace(/^\[.*\n/m, ''), // its way to the others: the page has its own
        (target) => {
          const name = basename(target, '.md').replace('.zh-CN', '')
          return ['operator', 'department', 'administrator'].includes(name) ? `/help?guide=${name}` : undefined
        },
        (target) => (existsSync(join(dirname(id), target)) ? `@picture:${pictures.push(join(dirname(id), target)) - 1}@` : undefined),
      )
      const html = JSON.stringify(guide.html).replace(/@picture:(\d+)@/g, '" + picture$1 + "')
      const imports = pictures.map((file, i) => `import picture${i} from ${JSON.stringify(`${file}?url`)}`)
      return `${imports.join('\n')}\nexport default { title: ${JSON.stringify(guide.title)}, parts: ${JSON.stringify(guide.parts)}, html: ${html} }`
    },
  }
}

const SERVICE = process.env.SHARPEYES_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [
    guides(),
    vue(),
    Components({ dts: 'src/components.d.ts', dirs: ['src/components'], resolvers: [ElementPlusResolver()] }),
    pack(),
  ],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // a data: URL is one thing more for the Content-Security-Policy to allow
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 900,
  },
  server: { fs: { allow: ['..'] }, proxy: { '/api': SERVICE, '/metrics': SERVICE } },
})
