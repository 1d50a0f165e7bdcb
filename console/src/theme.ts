/** Dark or light: as the system has it, until somebody chooses. */
import { ref, watchEffect } from 'vue'

export type Theme = 'dark' | 'light'
const STORED = 'sharpeyes.theme'
const system = matchMedia('(prefers-color-scheme: dark)')

const stored = localStorage.getItem(STORED)
export const theme = ref<Theme>(
  stored === 'dark' || stored === 'light' ? stored : system.matches ? 'dark' : 'light',
)

system.addEventListener('change', () => {
  if (!localStorage.getItem(STORED)) theme.value = system.matches ? 'dark' : 'light'
})

watchEffect(() => {
  document.documentElement.classList.toggle('dark', theme.value === 'dark')
})

export function switchTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark'
  localStorage.setItem(STORED, theme.value)
}
