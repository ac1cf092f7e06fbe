"""What the pages of receivers say."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "receiver": {"en": "Receiver", "zh": "接收方"},
    "receivers_hint": {
        "en": "Where callers' callbacks go, with secrets that leave for these URLs alone. "
        "Breakers and pauses are listed by host on the overview.",
        "zh": "调用方的回调目的地及其专用凭据。熔断与暂停按主机列在总览页。",
    },
    "receivers_caption": {
        "en": "Receivers by caller and name",
        "zh": "接收方，按调用方和名称排列",
    },
    "no_receivers": {"en": "No receivers.", "zh": "暂无接收方。"},
    "receiver_commands": {
        "en": "Receivers are made, and their credentials changed, on the command line or by the "
        "API (/v1/receivers):",
        "zh": "新增接收方或修改凭据请使用命令行或接口（/v1/receivers）：",
    },
    "receiver_name": {"en": "Name", "zh": "名称"},
    "receiver_url": {"en": "URLs below", "zh": "网址前缀"},
    "receiver_shape": {"en": "Shape", "zh": "回调格式"},
    "shape_default": {"en": "default", "zh": "默认"},
    "shape_own": {"en": "own", "zh": "自定义"},
    "shape_version": {"en": "version {n}", "zh": "版本 {n}"},
    "shape_since": {"en": "since", "zh": "始于"},
    "shape_default_hint": {
        "en": "The envelope itself, by POST.",
        "zh": "以 POST 发送标准回调内容。",
    },
    "shape_at_outcome": {
        "en": "shape version {n}, in force at the outcome",
        "zh": "回调格式版本 {n}（工单结束时）",
    },
    "versions": {"en": "Versions", "zh": "历史版本"},
    "versions_hint": {
        "en": "A callback keeps the version that was in force at its outcome.",
        "zh": "每个回调沿用工单结束时的版本。",
    },
    "draft": {"en": "draft", "zh": "草稿"},
    "draft_hint": {
        "en": "Made by the upgrade from the headers that the caller had. Nothing is sent to it, "
        "and the caller's callbacks are held, until it is adopted or removed.",
        "zh": "升级时由调用方原有的请求头生成。在采用或删除之前，不会发送任何内容，"
        "该调用方的回调也会保留。",
    },
    "draft_no_url": {
        "en": "It has no URL yet. Give it one, or remove it:",
        "zh": "尚无网址。请补充网址，或将其删除：",
    },
    "adopt": {"en": "Adopt", "zh": "采用"},
    "adopt_sure": {
        "en": "Callbacks to URLs below {url} are sent these credentials from now on. With the "
        "caller's last draft, what was held is due.",
        "zh": "此后发往 {url} 的回调将携带这些凭据；处理完该调用方最后一个草稿后，"
        "保留的回调立即发送。",
    },
    "remove": {"en": "Remove", "zh": "删除"},
    "remove_sure": {
        "en": "Deletes the receiver and its secrets. Callbacks that name it are refused; those "
        "below its URL go without secrets, if the caller may send anywhere.",
        "zh": "删除接收方及其凭据。指名该接收方的回调将被拒绝；"
        "若调用方不限接收方，发往其网址的回调不再携带凭据。",
    },
    "done_adopted": {"en": "Adopted: it is a receiver now.", "zh": "已采用为接收方。"},
    "done_no_draft": {"en": "It was no draft any more.", "zh": "原本已不是草稿。"},
    "done_receiver_removed": {"en": "The receiver is removed.", "zh": "接收方已删除。"},
    "logins": {"en": "Credentials", "zh": "凭据"},
    "no_logins": {"en": "none", "zh": "无"},
    "login_basic": {"en": "user and password", "zh": "用户名和密码"},
    "login_bearer": {"en": "bearer token", "zh": "Bearer 令牌"},
    "login_oauth2": {"en": "OAuth 2 token", "zh": "OAuth 2 令牌"},
    "login_client_certificate": {"en": "client certificate", "zh": "客户端证书"},
    "login_sn_hmac": {"en": "ServiceNow HMAC", "zh": "ServiceNow HMAC"},
    "login_headers": {"en": "headers", "zh": "请求头"},
    "login_locked": {"en": "sealed with a key that is missing", "zh": "缺少密钥，无法解封"},
    "login_secrets": {"en": "named secrets", "zh": "命名密文"},
    "certificate_ends": {"en": "until", "zh": "有效至"},
    "certificate_soon": {"en": "ends soon", "zh": "即将到期"},
    "certificate_over": {"en": "has ended", "zh": "已过期"},
    "private_ca": {"en": "Own authority", "zh": "专用 CA"},
    "yes": {"en": "yes", "zh": "是"},
    "terms": {"en": "Terms", "zh": "发送规则"},
    "as_settings": {"en": "as the settings say", "zh": "按全局设置"},
    "term_schedule": {"en": "Pauses between attempts", "zh": "重试间隔"},
    "term_give_up": {"en": "Given up after", "zh": "放弃期限"},
    "set_give_up": {"en": "Set", "zh": "设置"},
    "give_up_hint": {
        "en": "90s, 5m, 2h or 4d, counted from the outcome; empty: as the settings say.",
        "zh": "如 90s、5m、2h 或 4d，自工单结束起计；留空则按全局设置。",
    },
    "done_give_up": {"en": "The give-up is set.", "zh": "放弃期限已设置。"},
    "term_timeout": {"en": "An attempt takes at most", "zh": "单次尝试时限"},
    "term_concurrency": {"en": "Attempts at once", "zh": "并发上限"},
    "term_rate": {"en": "Attempts per minute", "zh": "每分钟上限"},
    "term_clear_text": {"en": "Secrets over plain http", "zh": "允许明文传输凭据"},
    "term_variables": {"en": "Variables", "zh": "变量"},
    "last_attempts": {"en": "Last attempts", "zh": "最近的尝试"},
    "last_attempts_caption": {
        "en": "The latest attempt of each of the newest callbacks, newest first",
        "zh": "最新回调各自最近一次尝试，新的在前",
    },
    "no_last_attempts": {
        "en": "None among this caller's newest callbacks to that host.",
        "zh": "该调用方发往此主机的最新回调中没有。",
    },
    "redeliver_current": {
        "en": "Send again with the current shape",
        "zh": "以当前格式重发",
    },
}
