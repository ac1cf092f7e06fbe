"""What is around every page: navigation, sign-in, states, times, errors."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "skip": {"en": "Skip to the content", "zh": "跳到正文"},
    "navigation": {"en": "Main navigation", "zh": "主导航"},
    "overview": {"en": "Overview", "zh": "总览"},
    "orders": {"en": "Orders", "zh": "工单"},
    "deliveries": {"en": "Deliveries", "zh": "回调"},
    "callers": {"en": "Callers", "zh": "调用方"},
    "language_switch": {"en": "Language", "zh": "语言"},
    "theme_switch": {"en": "Colours", "zh": "配色"},
    "theme_auto": {"en": "As the system", "zh": "跟随系统"},
    "theme_light": {"en": "Light", "zh": "浅色"},
    "theme_dark": {"en": "Dark", "zh": "深色"},
    "read_only": {"en": "read-only", "zh": "只读"},
    "signed_in_as": {"en": "Signed in as {name}", "zh": "已登录：{name}"},
    "sign_in": {"en": "Sign in", "zh": "登录"},
    "sign_out": {"en": "Sign out", "zh": "退出"},
    "api_key": {"en": "API key of an operator", "zh": "运维人员的 API 密钥"},
    "api_key_hint": {
        "en": "Make one with: kernel callers add-key NAME --scope operator",
        "zh": "创建密钥：kernel callers add-key NAME --scope operator",
    },
    "session_hint": {
        "en": "You stay signed in for {hours} hours, or until the key is revoked.",
        "zh": "登录有效期 {hours} 小时；密钥被吊销时立即失效。",
    },
    "sign_in_wrong": {
        "en": "That key is unknown, expired or revoked.",
        "zh": "密钥不存在、已过期或已吊销。",
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
    "page_not_found": {"en": "There is no such page.", "zh": "页面不存在。"},
    "ago_now": {"en": "just now", "zh": "刚刚"},
    "ago": {"en": "{span} ago", "zh": "{span}前"},
    "ahead": {"en": "in {span}", "zh": "{span}后"},
    "span_ms": {"en": "{n} ms", "zh": "{n} 毫秒"},
    "span_s": {"en": "{n} s", "zh": "{n} 秒"},
    "span_min": {"en": "{n} min", "zh": "{n} 分钟"},
    "span_h": {"en": "{n} h", "zh": "{n} 小时"},
    "span_d": {"en": "{n} d", "zh": "{n} 天"},
    "or_more": {"en": "{n}+", "zh": "{n}+"},
}
