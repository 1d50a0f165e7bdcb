import { JOURNAL } from './journal.service.zh'
import { DISCOVERY } from './discovery.service.zh'
import { REGISTRY } from './registry.service.zh'
import { REST } from './rest.service.zh'
import { SETTINGS } from './settings.service.zh'

/** What the service says in English, in Chinese: reasons of refusals by their code, other sentences by their words.
 * What is not here is shown as it came. `$1` is what stands in the brackets of the pattern. */
const REASONS: Record<string, string> = {
  user_disabled: '该账号已停用',
  camera_unknown: '没有这台摄像机',
  camera_retired: '该摄像机已不在册',
  place_forbidden: '该摄像机位于禁止观看的场所',
  auditor: '审计员只查阅登记簿，不得观看',
  maintainer: '运维员只看设备状况，不看画面',
  role: '该账号的角色无权观看',
  no_grant: '没有覆盖该摄像机的授权，请先申请',
  other_department: '该授权属于其他部门',
  other_user: '该授权未包含您',
  other_camera: '该授权未包含此摄像机',
  other_owner: '该摄像机的所属部门已变更，原授权不再适用',
  action: '该授权不允许此操作',
  revoked: '授权已被撤销',
  not_yet: '授权尚未生效',
  expired: '授权已到期',
  schedule: '当前不在授权时段内',
  policy: '策略要求本部门值班员也须取得授权',
  ticket_invalid: '观看凭证无效',
  ticket_expired: '观看凭证已过期',
  ticket_used: '观看凭证已使用',
  logged_out: '登录会话已结束',
  ticket_client: '观看凭证由另一客户端申请',
}

const SENTENCES: readonly (readonly [RegExp, string])[] = [
  [/^nobody decides on an exclusion of their own$/, '不得审批本人提出的剔除'],
  [/^nobody decides on a request of their own/, '不得审批本人提出或包含本人的申请'],
  [/^nobody reviews an override of their own$/, '不得复核本人的紧急调阅'],
  [/^nobody changes their own rights$/, '不得更改本人的权限'],
  [/^Have another person look at it$/, '请由他人处理'],
  [/^Ask another administrator$/, '请联系其他管理员'],
  [/^you have approved this already$/, '您已批准过该申请'],
  [/^Another approver of the owner must do it$/, '须由所属部门的另一位审批人批准'],
  [/^only approvers of the department that owns the cameras decide on them$/, '只有摄像机所属部门的审批人可以决定'],
  [/^only operators and requesters ask for views$/, '只有值班员和申请人可以提出调阅申请'],
  [/^only operators open cameras in an emergency$/, '只有值班员可以紧急调阅'],
  [/^only the applicant withdraws a request$/, '只有申请人可以撤回申请'],
  [/^only administrators manage accounts$/, '只有管理员可以管理账号'],
  [/^only administrators change the rules$/, '只有管理员可以修改规则'],
  [/^auditors and approvers of the owning department review overrides$/, '由审计员和所属部门的审批人复核紧急调阅'],
  [/^nothing of this request is undecided$/, '该申请已全部处理'],
  [/^the time to decide is over: the request has expired$/, '已过审批时限，申请失效'],
  [/^the grant has ended already$/, '该授权已结束'],
  [/^this override has been reviewed already$/, '该紧急调阅已复核'],
  [/^policy allows no emergency override for these cameras$/, '策略不允许对这些摄像机紧急调阅'],
  [/^an emergency override is not extended$/, '紧急调阅不可延长'],
  [/^Request a view in the usual way$/, '请按常规流程申请'],
  [/^policy wants (\d+) approvers for these cameras$/, '策略要求这些摄像机由 $1 位审批人批准'],
  [/^Make a new request$/, '请重新申请'],
  [/^cameras: none is chosen$/, '尚未选择摄像机'],
  [/^Name cameras, an area or a tag$/, '请选择摄像机或区域'],
  [/^cameras: (\d+) are chosen, and policy allows (\d+) in a request/, '已选 $1 台，策略每次最多允许 $2 台'],
  [/^cameras: an override opens at most (\d+)$/, '紧急调阅最多 $1 台摄像机'],
  [/^cameras: of several owners$/, '所选摄像机分属多个部门'],
  [/^Override for one owner at a time$/, '请按部门分别紧急调阅'],
  [/^life: an override lasts at most (\d+) minutes$/, '紧急调阅最长 $1 分钟'],
  [/^case_number: an investigation has one$/, '侦查用途须填写案件编号'],
  [/^Give the number of the case$/, '请填写案件编号'],
  [/^start: more than 90 days ahead$/, '开始时间不得晚于 90 天后'],
  [/^end: is not after the start, or already past$/, '结束时间须晚于开始时间且未过去'],
  [/^end: a grant on these cameras lasts at most (\d+) hours$/, '这些摄像机的授权最长 $1 小时'],
  [/^end: is not later than now agreed$/, '新的结束时间不晚于原定时间'],
  [/^Narrow the grant instead$/, '如需提前结束，请收窄授权'],
  [/^end: beyond the longest life of a grant$/, '超出授权最长时长'],
  [/^end: must lie between now, or the start, and the end now agreed$/, '结束时间须在现在（或开始时间）与原定结束时间之间'],
  [/^To end it, revoke$/, '如需立即结束，请撤销授权'],
  [/^(?:purpose_text|reason): has (\d+) characters$/, '说明为 $1 个字符，长度不符'],
  [/^Write (\d+) to (\d+) characters: it goes into the register$/, '请填写 $1 至 $2 个字符，内容将载入登记簿'],
  [/^roles: an auditor has no other role$/, '审计员不得兼任其他角色'],
  [/^Make an account for each$/, '请分别建立账号'],
  [/^username, name: 1 to 100 printable characters$/, '用户名和姓名须为 1 至 100 个可见字符'],
  [/^name: somebody else here is called so$/, '已有他人使用该姓名'],
  [/^Where two are, an administrator says so$/, '如确系同名，请由管理员修改'],
  [/^the register is being checked for somebody already$/, '正在为他人验证登记簿'],
  [/^Try again in a minute$/, '请一分钟后重试'],
  [/^the register has no checkpoint yet$/, '登记簿尚无检查点'],
  [/^One is signed every minute/, '每分钟签名一次，请稍后再试'],
  [/^entry (\d+) is not covered by a checkpoint yet$/, '第 $1 条尚未签入检查点'],
  [/^what entry (\d+) said was removed by retention; its hash stands$/, '第 $1 条的内容已按留存期清除，其哈希仍保留'],
  [/^the old password is wrong$/, '当前密码不正确'],
  [/^code: is not of this secret now$/, '动态验证码不正确'],
  [/^Check the clock of the phone$/, '请检查手机时间'],
  [/^none of this account's roles may (.+)$/, '该账号的角色无权进行此操作（$1）'],
  [/^a token cannot manage accounts and rules: that takes a person$/, 'API 令牌不能管理账号和规则，须由个人登录操作'],
  [/^(\S+) is declared in cameras\.yaml, which would undo this at the next start: change it there$/, '$1 在 cameras.yaml 中声明，下次启动会还原：请在该文件中修改'],
  [/^exclusion (\S+) is (\S+) already$/, '该剔除已处理'],
  [/^nobody removes their own authenticator app without a code of it$/, '没有动态验证码，不得移除本人的验证器'],
  [/^Ask another administrator, or send password and code to (\S+)$/, '请其他管理员移除，或将密码和动态验证码提交至 $1'],
  [/^this account has no authenticator app$/, '该账号未绑定验证器'],
  [/^the password or the code is wrong$/, '密码或动态验证码不正确'],
  [/^only administrators silence everything$/, '只有管理员可以静默全部告警'],
  [/^Name a camera, a node or a zone of your department$/, '请指定本部门的摄像机、节点或网络区域'],
  [/^(camera|node|zone) (\S+) is not of (\S+) alone$/, '$2 不全属于 $3，不能静默'],
  [/^Name what is of your department, or ask an administrator$/, '请指定仅属本部门的对象，或联系管理员'],
  [/^only the applicant withdraws an exclusion$/, '只有申请人可以撤回剔除申请'],
  [/^Refuse it instead$/, '如不同意，请予以拒绝'],
  [/^only its author withdraws a contest$/, '只有申诉人可以撤回申诉'],
  [/^Answer it instead$/, '如不同意，请予以答复'],
  [/^contest (\S+) is withdrawn already$/, '该申诉已撤回'],
  [/^contest (\S+) is answered already/, '该申诉已答复'],
  [/^to: must be after 'from'/, '结束时间须晚于开始时间，且不超过 400 天'],
  [/^period: (\S+) has not begun yet$/, '周期 $1 尚未开始'],
  [/^ticket (\d+) is with another unit than yours$/, '工单 $1 不属于您的单位'],
  [/^ticket (\d+) is (\w+): it cannot (\w+) now$/, '工单 $1 当前阶段不允许此操作'],
  [/^nobody can (\w+) a ticket by hand: that takes a probe$/, '工单由探测结果关闭，不能手动操作'],
  [/^this needs a session or an API token$/, '请先登录'],
  [/^An unexpected error; the service's log has the details$/, '服务内部错误，详情见服务日志'],
  ...DISCOVERY,
  ...JOURNAL,
  ...REGISTRY,
  ...SETTINGS,
  ...REST,
]

/** The sentence in Chinese, or as it came; of several sentences, each by itself. */
export function tell(sentence: string, reason?: string): string {
  if (reason && REASONS[reason]) return REASONS[reason]
  const whole = one(sentence)
  if (whole !== undefined || !sentence.includes('. ')) return whole ?? sentence
  const parts = sentence.split('. ').map((part) => one(part))
  return parts.every((part) => part !== undefined) ? parts.join('。') : sentence
}

function one(sentence: string): string | undefined {
  for (const [pattern, chinese] of SENTENCES) {
    const found = pattern.exec(sentence)
    if (found) return chinese.replace(/\$(\d)/g, (_, n: string) => found[Number(n)] ?? '')
  }
  return undefined
}
