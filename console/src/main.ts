import 'element-plus/theme-chalk/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import './styles.css'
import './theme'
import { createApp } from 'vue'
import App from './App.vue'
import { locale, speak, t } from './i18n'
import { router } from './router'
import { resume } from './session'

declare module 'vue' {
  interface ComponentCustomProperties {
    $t: typeof t
  }
}

const app = createApp(App)
app.config.globalProperties.$t = t
await Promise.all([speak(locale.value), resume()])
app.use(router).mount('#app')
