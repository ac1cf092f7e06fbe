"""What is wrong: a sentence for each condition, its cause, and what to do.

The texts of ``condition_KEY`` and ``mend_KEY`` are those of the rule KEY, of ``cause_KEY_CAUSE`` of
one of its causes, of ``cause_REASON`` of a reason of an attempt. `kernel status` prints the English
ones.
"""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "conditions": {"en": "What is wrong", "zh": "当前问题"},
    "all_well": {"en": "Nothing is wrong.", "zh": "一切正常。"},
    "severity_critical": {"en": "critical", "zh": "严重"},
    "severity_warning": {"en": "warning", "zh": "警告"},
    "severity_notice": {"en": "notice", "zh": "提示"},
    "wrong_since": {"en": "since", "zh": "始于"},
    "oldest_order": {"en": "The oldest order", "zh": "最早的工单"},
    "dead_callbacks": {"en": "Dead callbacks", "zh": "已放弃的回调"},
    "runbook": {"en": "Runbook:", "zh": "处理手册："},
    "condition_database_gone": {
        "en": "The database cannot be used: {error}",
        "zh": "数据库不可用：{error}",
    },
    "mend_database_gone": {
        "en": "Start the database again and leave the workers alone: they reconnect.",
        "zh": "请恢复数据库；工作进程会自动重连，无需重启。",
    },
    "condition_database_read_only": {
        "en": "The database answers but takes no writes: orders are refused with 503.",
        "zh": "数据库可读但拒绝写入：工单以 503 被拒。",
    },
    "mend_database_read_only": {
        "en": "Point KERNEL_DATABASE_URL at the primary, or make this server the primary.",
        "zh": "请让 KERNEL_DATABASE_URL 指向主库，或将此服务器提升为主库。",
    },
    "condition_database_unfit": {
        "en": "A process that starts now would refuse this database: {error}",
        "zh": "新启动的进程会拒绝此数据库：{error}",
    },
    "mend_database_unfit": {
        "en": "Do what the message says before a process has to start.",
        "zh": "请按提示处理，以免进程重启后无法启动。",
    },
    "condition_schema_behind": {
        "en": "The database is at migration {found}; this release needs {needs}.",
        "zh": "数据库迁移版本为 {found}，当前程序需要 {needs}。",
    },
    "mend_schema_behind": {"en": "Run kernel migrate.", "zh": "请执行 kernel migrate。"},
    "condition_schema_ahead": {
        "en": "The database is at migration {found}, ahead of this release ({needs}).",
        "zh": "数据库迁移版本 {found} 新于当前程序（{needs}）。",
    },
    "mend_schema_ahead": {
        "en": "Fine during an upgrade. Restart what still runs the older release.",
        "zh": "升级期间属正常现象；升级后请重启仍在运行旧版本的进程。",
    },
    "condition_no_worker": {
        "en": "No worker is alive: orders are accepted and wait ({waiting} due).",
        "zh": "没有存活的工作进程：工单会被受理但无法执行（{waiting} 个已到期）。",
    },
    "mend_no_worker": {
        "en": "Start one: kernel worker. Its log says why it ended.",
        "zh": "请启动：kernel worker；停止原因见其日志。",
    },
    "condition_broker_gone": {
        "en": "The broker does not answer: orders are accepted and wait.",
        "zh": "消息代理无响应：工单会被受理，但要等待执行。",
    },
    "mend_broker_gone": {
        "en": "Start it again, empty if need be. Nothing has to be replayed.",
        "zh": "请重新启动，数据为空也可以；无需补发。",
    },
    "condition_orders_wait": {
        "en": "Orders due: {due}. The oldest has waited {seconds}{first}.",
        "zh": "应执行的工单：{due} 个，最早的已等待 {seconds}{first}。",
    },
    "orders_wait_first": {
        "en": " ({reference}, {tag} of {caller})",
        "zh": "（{reference}，{caller} 的 {tag}）",
    },
    "cause_orders_wait_no_worker": {
        "en": "No worker is alive.",
        "zh": "没有存活的工作进程。",
    },
    "cause_orders_wait_broker_gone": {
        "en": "The broker is gone, so only sweeps hand orders out.",
        "zh": "消息代理不可用，只能靠定期扫描派发。",
    },
    "cause_orders_wait_drained": {
        "en": "The hosts of all workers are drained.",
        "zh": "所有工作进程所在主机均已排空。",
    },
    "cause_orders_wait_all_busy": {
        "en": "Every worker process is busy.",
        "zh": "所有工作进程都在忙。",
    },
    "mend_orders_wait": {
        "en": "More workers, or see which tag and caller wait.",
        "zh": "请增加工作进程，或查看是哪类工单、哪个调用方在等待。",
    },
    "condition_callbacks_wait": {
        "en": "Callbacks due: {due}. The oldest has waited {seconds}.",
        "zh": "应发送的回调：{due} 个，最早的已等待 {seconds}。",
    },
    "cause_callbacks_wait_receiver_failing": {
        "en": "A receiver is failing.",
        "zh": "有接收方熔断中。",
    },
    "mend_callbacks_wait": {
        "en": "See whether a dispatcher is alive and which receiver is slow.",
        "zh": "请检查发送进程是否存活，以及哪个接收方响应慢。",
    },
    "condition_receiver_failing": {
        "en": "{subject} is failing{why}; callbacks to it wait and are tried again.",
        "zh": "{subject} 熔断中{why}；发往它的回调将稍后重试。",
    },
    "receiver_failing_why": {
        "en": ": {cause} (attempts so far: {attempts})",
        "zh": "：{cause}（已试 {attempts} 次）",
    },
    "mend_receiver_failing": {
        "en": "If the outage will be long, pause it: held callbacks use up no attempts.",
        "zh": "若中断时间较长，请暂停该主机：暂扣的回调不消耗重试次数。",
    },
    "cause_connect": {"en": "connection refused or not reached", "zh": "无法连接"},
    "cause_dns": {"en": "its name does not resolve", "zh": "域名无法解析"},
    "cause_tls": {"en": "TLS failed", "zh": "TLS 失败"},
    "cause_timeout": {"en": "no answer in time", "zh": "响应超时"},
    "cause_http_5xx": {"en": "it answers {status}", "zh": "返回 {status}"},
    "cause_http_4xx": {"en": "it answers {status}", "zh": "返回 {status}"},
    "cause_protocol": {"en": "it does not answer in HTTP", "zh": "响应不符合 HTTP"},
    "cause_too_large": {"en": "its answer is too large", "zh": "响应过大"},
    "cause_refused": {"en": "its address is not allowed", "zh": "地址不被允许"},
    "cause_redirect": {
        "en": "it redirects, and no redirect is followed",
        "zh": "返回重定向（不跟随）",
    },
    "cause_token": {"en": "no token was to be had for it", "zh": "未能取得令牌"},
    "cause_template": {"en": "its shape cannot be filled", "zh": "回调模板无法填充"},
    "cause_lookup": {"en": "the lookup found not one record", "zh": "查询未得到唯一记录"},
    "cause_answer": {"en": "its rules count the answer as a failure", "zh": "按接收方规则判为失败"},
    "cause_internal": {
        "en": "kernel itself failed; the log says how",
        "zh": "系统内部错误，见日志",
    },
    "cause_no_room": {"en": "this host had no room for an attempt", "zh": "本机资源不足，未发送"},
    "cause_proxy": {"en": "the proxy does not do its work", "zh": "代理不可用"},
    "cause_secrets": {"en": "no key opens its secrets", "zh": "无法解封其密钥"},
    "cause_http_3xx": {"en": "it answers {status}", "zh": "返回 {status}"},
    "cause_http_1xx": {"en": "it answers {status}", "zh": "返回 {status}"},
    "cause_interrupted": {
        "en": "the process that sent it ended before the answer",
        "zh": "发送进程在应答前结束",
    },
    "cause_not_admitted": {"en": "it may not be asked more now", "zh": "超出接收方限额，未发送"},
    "condition_dead_callbacks": {
        "en": "Callbacks given up in 24 hours: {number}. The last was for {origin}{why}.",
        "zh": "24 小时内放弃了 {number} 个回调，最近一个发往 {origin}{why}。",
    },
    "dead_callbacks_why": {"en": ": {cause}", "zh": "：{cause}"},
    "mend_dead_callbacks": {
        "en": "Mend the cause, then replay them.",
        "zh": "请先排除原因，再重发。",
    },
    "died_gone": {"en": "the receiver says: gone", "zh": "接收方称已不存在"},
    "died_client_errors": {"en": "refused too often", "zh": "多次被拒绝"},
    "died_deadline": {"en": "out of time", "zh": "已过期限"},
    "died_answer": {"en": "given up by the receiver's rules", "zh": "按接收方规则放弃"},
    "died_lookup": {"en": "no ticket, or more than one", "zh": "未找到工单或找到多个"},
    "died_dropped": {"en": "dropped by a person", "zh": "已被人工丢弃"},
    "died_template": {"en": "its shape cannot be filled", "zh": "回调模板无法填充"},
    "condition_new_error": {
        "en": "New error in {tag}: {what}{where}.",
        "zh": "{tag} 出现新错误：{what}{where}。",
    },
    "new_error_place": {"en": " in {place}", "zh": "，位于 {place}"},
    "cause_new_error_came_back": {
        "en": "It had been resolved and has come back.",
        "zh": "此前标记为已解决，现再次出现。",
    },
    "mend_new_error": {
        "en": "See its traceback; mend the cause, run its orders again, then resolve it.",
        "zh": "请查看调用栈，排除原因并重新执行相关工单，然后标记为已解决。",
    },
    "condition_schedule_failed": {
        "en": "The recurring order {subject} was not made: {error}",
        "zh": "周期工单 {subject} 未能生成：{error}",
    },
    "mend_schedule_failed": {
        "en": "Mend the cause, then run it now.",
        "zh": "请排除原因，然后立即执行一次。",
    },
    "condition_key_expires": {
        "en": "The API key {name} of {caller} {ends}.",
        "zh": "{caller} 的 API 密钥 {name} {ends}。",
    },
    "mend_key_expires": {
        "en": "Rotate it; the old one works on during the overlap.",
        "zh": "请轮换；过渡期内旧密钥仍有效。",
    },
    "condition_certificate_expires": {
        "en": "The client certificate of {caller}'s receiver {name} {ends}.",
        "zh": "{caller} 的接收方 {name} 的客户端证书 {ends}。",
    },
    "mend_certificate_expires": {
        "en": "Give the receiver a new one: kernel receivers set.",
        "zh": "请更换证书：kernel receivers set。",
    },
    "expiry_ends": {"en": "expires {when}", "zh": "将于{when}到期"},
    "expiry_ended": {"en": "expired {when}", "zh": "已于{when}到期"},
    "condition_paused": {"en": "Paused: {what}{more}.", "zh": "已暂停：{what}{more}。"},
    "paused_by": {"en": ", by {name}", "zh": "，操作人 {name}"},
    "paused_until": {"en": ", until {when}", "zh": "，至 {when}"},
    "paused_why": {"en": " ({why})", "zh": "（{why}）"},
    "paused_host": {"en": "callbacks to {name}", "zh": "发往 {name} 的回调"},
    "paused_caller": {"en": "callbacks of {name}", "zh": "{name} 的回调"},
    "paused_worker_host": {
        "en": "the host {name} is drained, its workers take nothing",
        "zh": "主机 {name} 已排空，其 worker 不接收任务",
    },
    "paused_receiver": {"en": "callbacks to the receiver {name}", "zh": "发往接收方 {name} 的回调"},
    "paused_tag": {"en": "orders of the tag {name}", "zh": "标签 {name} 的工单"},
    "paused_orders_of": {"en": "orders of {name}", "zh": "{name} 的工单"},
    "mend_paused": {
        "en": "Resume it when the reason is gone; nothing is dropped meanwhile.",
        "zh": "原因消除后请恢复；期间不会丢弃任何内容。",
    },
    "told_over": {"en": "Over: {said}", "zh": "已恢复：{said}"},
    "told_over_new_error": {
        "en": "Resolved, or known for a day: {said}",
        "zh": "已解决，或出现已满一天：{said}",
    },
    "told_test": {
        "en": "A test of the notification rule {name}. Nothing is wrong.",
        "zh": "通知规则 {name} 的测试消息，无需处理。",
    },
}
