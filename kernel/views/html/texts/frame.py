"""What is around every page: navigation, sign-in, states, times, errors."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "skip": {"en": "Skip to the content", "zh": "跳到正文"},
    "navigation": {"en": "Main navigation", "zh": "主导航"},
    "menu": {"en": "Menu", "zh": "菜单"},
    "filter": {"en": "Filter", "zh": "筛选"},
    "overview": {"en": "Overview", "zh": "总览"},
    "orders": {"en": "Orders", "zh": "工单"},
    "deliveries": {"en": "Callbacks", "zh": "回调"},
    "receivers": {"en": "Receivers", "zh": "接收方"},
    "callers": {"en": "Callers", "zh": "调用方"},
    "language_switch": {"en": "Language", "zh": "语言"},
    "zone_switch": {"en": "Show times in UTC", "zh": "以 UTC 显示时间"},
    "theme_switch": {"en": "Colours", "zh": "配色"},
    "theme_auto": {"en": "As the system", "zh": "跟随系统"},
    "theme_light": {"en": "Light", "zh": "浅色"},
    "theme_dark": {"en": "Dark", "zh": "深色"},
    "read_only": {"en": "read-only", "zh": "只读"},
    "signed_in_as": {"en": "Signed in as {name}", "zh": "已登录：{name}"},
    "sign_in": {"en": "Sign in", "zh": "登录"},
    "sign_out": {"en": "Sign out", "zh": "退出"},
    "api_key": {"en": "API key, yours or an operator's", "zh": "您本人或运维人员的 API 密钥"},
    "api_key_hint": {
        "en": "Make one with: kernel callers add-key NAME --scope operator",
        "zh": "创建密钥：kernel callers add-key NAME --scope operator",
    },
    "session_hint": {
        "en": "You stay signed in for {hours} hours, until {minutes} minutes pass without a "
        "request, or until the key is revoked.",
        "zh": "登录有效期 {hours} 小时；{minutes} 分钟无操作或密钥被吊销时失效。",
    },
    "sign_in_wrong": {
        "en": "That key is unknown.",
        "zh": "密钥不存在。",
    },
    "sign_in_expired": {
        "en": "That key has expired or was revoked.",
        "zh": "密钥已过期或已吊销。",
    },
    "sign_in_elsewhere": {
        "en": "That key does not work from where you are.",
        "zh": "该密钥不允许从您所在的网络使用。",
    },
    "sign_in_no_operator": {
        "en": "That key is valid, but not an operator's.",
        "zh": "密钥有效，但没有运维权限。",
    },
    "sign_in_too_often": {
        "en": "Too many wrong keys. Try again in {seconds} s.",
        "zh": "错误次数过多，请在 {seconds} 秒后重试。",
    },
    "sign_in_plain": {
        "en": "Signing in needs HTTPS: a browser does not keep this page's session cookie over "
        "plain HTTP, and everybody on the way could read your key. Put TLS on the proxy in front, "
        "or open the page on this very host at 127.0.0.1.",
        "zh": "登录需要 HTTPS：在明文 HTTP 下浏览器不会保存会话 Cookie，密钥也会在途中泄露。"
        "请在前置代理上启用 TLS，或在本机通过 127.0.0.1 访问。",
    },
    "oidc_sign_in": {"en": "Sign in with your organisation", "zh": "使用组织账号登录"},
    "oidc_or_key": {"en": "Or with a key:", "zh": "或使用密钥："},
    "oidc_away": {
        "en": "Your organisation's sign-in does not answer. Try again in a minute, or use a key.",
        "zh": "组织的登录服务没有响应。请稍后重试，或使用密钥登录。",
    },
    "oidc_untrusted": {
        "en": "The answer of your organisation's sign-in could not be trusted. The log says why; "
        "try again, or use a key.",
        "zh": "组织登录服务的应答无法通过校验，原因见日志。请重试，或使用密钥登录。",
    },
    "oidc_expired": {
        "en": "This sign-in was begun in another window or more than ten minutes ago. Begin again.",
        "zh": "此次登录在其他窗口中发起，或已超过十分钟。请重新登录。",
    },
    "oidc_denied": {
        "en": "Your organisation's sign-in was cancelled or refused. Begin again, or use a key.",
        "zh": "组织登录已取消或被拒绝。请重新登录，或使用密钥登录。",
    },
    "oidc_no_role": {
        "en": "Your organisation knows you, but none of your groups may use this dashboard. Ask "
        "its administrators to put you into one of the groups that may.",
        "zh": "组织已确认您的身份，但您所在的组无权使用此控制台。请联系管理员将您加入有权限的组。",
    },
    "oidc_disabled": {
        "en": "Your organisation knows you, but an administrator has shut you out of this "
        "dashboard.",
        "zh": "组织已确认您的身份，但管理员已停用您在此控制台的账号。",
    },
    "ask_for_key": {"en": "Sign in to see this page.", "zh": "请登录后查看此页面。"},
    "live": {"en": "Live", "zh": "实时"},
    "pause_live": {"en": "Pause live", "zh": "暂停刷新"},
    "resume_live": {"en": "Resume live", "zh": "恢复刷新"},
    "stale": {
        "en": "No answer from the server: what you see is as of {time}.",
        "zh": "服务器无响应：以下内容截至 {time}。",
    },
    "keys_help": {"en": "Keyboard", "zh": "快捷键"},
    "key_search": {"en": "search", "zh": "搜索"},
    "key_next": {"en": "next and previous row", "zh": "下一行、上一行"},
    "key_open": {"en": "open the row", "zh": "打开所选行"},
    "key_pause": {"en": "pause or resume live", "zh": "暂停或恢复刷新"},
    "key_help": {"en": "this help", "zh": "本帮助"},
    "close": {"en": "Close", "zh": "关闭"},
    "copy": {"en": "Copy", "zh": "复制"},
    "copied": {"en": "Copied", "zh": "已复制"},
    "pages": {"en": "Pages", "zh": "分页"},
    "newer": {"en": "Newer", "zh": "较新"},
    "older": {"en": "Older", "zh": "较旧"},
    "newest": {"en": "Newest", "zh": "最新"},
    "back_to_overview": {"en": "To the overview", "zh": "返回总览"},
    "problem_title": {"en": "That did not work", "zh": "操作未完成"},
    "problem_request": {"en": "Request {id}", "zh": "请求 {id}"},
    "problem_retry": {"en": "Try again in {seconds} s.", "zh": "请在 {seconds} 秒后重试。"},
    "form_expired": {
        "en": "This form is out of date. Open the page again and repeat.",
        "zh": "表单已失效，请刷新页面后重试。",
    },
    "is_read_only": {
        "en": "This dashboard is read-only (KERNEL_DASHBOARD).",
        "zh": "此控制台为只读（KERNEL_DASHBOARD）。",
    },
    "form_refused": {
        "en": "What was filled in, or stands in the address, is not valid:",
        "zh": "填写的内容或地址中的参数无效：",
    },
    "page_not_found": {"en": "There is no such page.", "zh": "页面不存在。"},
}
