import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import vue from '@vitejs/plugin-vue'
import Components from 'unplugin-vue-components/vite'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import { defineConfig, type Plugin } from 'vite'

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

const SERVICE = process.env.SHARPEYES_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [
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
  server: { proxy: { '/api': SERVICE, '/metrics': SERVICE } },
})
