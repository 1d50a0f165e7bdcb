import 'element-plus/theme-chalk/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
// Boxes that ask are called, not written into a template, so that nobody else brings their styles.
import 'element-plus/theme-chalk/el-overlay.css'
import 'element-plus/theme-chalk/el-button.css'
import 'element-plus/theme-chalk/el-input.css'
import 'element-plus/theme-chalk/el-message-box.css'
import './styles.css'
import './theme'
import { createApp } from 'vue'
import App from './App.vue'
import { tellCutTexts } from './cut'
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
tellCutTexts()
app.use(router).mount('#app')
