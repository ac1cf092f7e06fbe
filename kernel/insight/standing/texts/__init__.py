"""Why an order and its callback stand as they do: the sentences, and the parts they are made of.

``since`` and ``at`` are shown as a distance (5 min ago) on pages, ``next``, ``opens`` and ``until``
to the second. Parts begin with what stands before them, a space or a comma, and may be left out.
"""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "why_not_before": {"en": "not before {opens}", "zh": "最早于 {opens} 开始"},
    "why_later": {"en": "begins {next}", "zh": "将于 {next} 开始"},
    "why_again": {"en": "{cause}; begins again {next}", "zh": "{cause}；将于 {next} 再次执行"},
    "why_how_retry": {"en": "its handler asked for a retry{said}", "zh": "处理程序请求重试{said}"},
    "why_how_died": {"en": "its worker died{said}", "zh": "工作进程意外终止{said}"},
    "why_how_terminated": {
        "en": "a person ended its worker{said}",
        "zh": "工作进程被人工终止{said}",
    },
    "why_how_broken": {"en": "its transaction broke{said}", "zh": "事务中断{said}"},
    "why_how_timed_out": {"en": "its run exceeded its time limit{said}", "zh": "执行超时{said}"},
    "why_how_stopping": {"en": "its worker stopped{said}", "zh": "工作进程停止{said}"},
    "why_how_not_begun": {"en": "it was handed back unbegun{said}", "zh": "未执行即交回{said}"},
    "why_said": {"en": ": {said}", "zh": "：{said}"},
    "why_due": {"en": "due {since}: waiting for a free worker", "zh": "{since}到期，等待空闲进程"},
    "why_no_worker": {
        "en": "due {since}: no worker is alive",
        "zh": "{since}到期，没有存活的工作进程",
    },
    "why_behind": {
        "en": "waiting behind order {order} for key {key}{place}",
        "zh": "排在工单 {order} 之后，排序键 {key}{place}",
    },
    "why_turn": {
        "en": "waiting for its turn for key {key}{place}",
        "zh": "等待排序键 {key}{place}",
    },
    "why_place": {"en": ", at place {n}", "zh": "，第 {n} 位"},
    "why_slot": {
        "en": "waiting for a slot of the limit of tag {tag}{value}",
        "zh": "等待 {tag} 的并发名额{value}",
    },
    "why_value": {"en": " for {value}", "zh": "（{value}）"},
    "why_child": {"en": "waits for {n} child order{until}", "zh": "等待 {n} 个子工单{until}"},
    "why_children": {"en": "waits for {n} child orders{until}", "zh": "等待 {n} 个子工单{until}"},
    "why_event": {"en": "waits for event {name}{until}", "zh": "等待事件 {name}{until}"},
    "why_until": {"en": " until {until}", "zh": "，最晚至 {until}"},
    "why_waits": {"en": "waits for {what}", "zh": "等待 {what}"},
    "why_paused_tag": {
        "en": "held: orders of tag {name} are paused{told}",
        "zh": "暂停中：{name} 类工单已暂停{told}",
    },
    "why_paused_caller": {
        "en": "held: orders of {name} are paused{told}",
        "zh": "暂停中：{name} 的工单已暂停{told}",
    },
    "why_running": {"en": "running since {since}{run}{process}", "zh": "{since}开始{run}{process}"},
    "why_run": {"en": ", run {n}", "zh": "，第 {n} 次执行"},
    "why_process": {"en": ", on {process}", "zh": "，进程 {process}"},
    "why_silent": {
        "en": "began {since}; its worker has not been heard of since {lease}, and another one "
        "takes over",
        "zh": "{since}开始；工作进程自 {lease} 起失去联系，将由其他进程接管",
    },
    "why_cancel_asked": {
        "en": "cancelling was asked for {at}{told}; its handler sees that at its next checkpoint",
        "zh": "{at}已请求取消{told}；将在下个检查点生效",
    },
    "why_cancelled": {"en": "cancelled {at}{told}", "zh": "{at}取消{told}"},
    "why_with_parent": {"en": ", by kernel itself{said}", "zh": "，由系统取消{said}"},
    "why_by_and_why": {"en": "{by}{said}", "zh": "{by}{said}"},
    "why_success": {"en": "done {at}", "zh": "{at}完成"},
    "why_warning": {"en": "done {at}, with a warning{said}", "zh": "{at}完成，部分成功{said}"},
    "why_failed": {"en": "failed {at}, {code}{said}", "zh": "{at}失败，{code}{said}"},
    "why_by": {"en": " by {who}", "zh": "，操作人 {who}"},
    "why_since": {"en": " {since}{by}{until}{said}", "zh": "（{since}{by}{until}{said}）"},
    "why_callback_none": {"en": "none: the caller polls", "zh": "无：由调用方轮询"},
    "why_callback_later": {"en": "sent when the work has ended", "zh": "工单结束后发送"},
    "why_callback_missing": {"en": "none is kept", "zh": "没有保留的回调"},
    "why_callback_in_flight": {"en": "attempt {n} is under way", "zh": "第 {n} 次发送进行中"},
    "why_callback_lost": {
        "en": "how attempt {n} ended was not recorded in time; it is due again",
        "zh": "第 {n} 次发送的结果未及时记录，将再次发送",
    },
    "why_callback_due": {"en": "due: sent as soon as a sender is free", "zh": "已到期，等待发送"},
    "why_callback_put_off": {
        "en": "put off before an attempt, next {next}: its receiver may not be asked more now, or "
        "what an attempt needs was lacking here; the log says which",
        "zh": "尚未发送，已推迟，下次 {next}：接收方暂不可再请求，或本机暂缺发送条件，详见日志",
    },
    "why_callback_no_sender": {
        "en": "due: no process is alive that sends callbacks",
        "zh": "已到期，没有存活的发送进程",
    },
    "why_callback_failing": {
        "en": "receiver failing: {cause}, {attempts}, next {next}",
        "zh": "接收方失败：{cause}，{attempts}，下次 {next}",
    },
    "why_callback_again": {
        "en": "receiver failing: {cause}, {attempts}, the next is due now",
        "zh": "接收方失败：{cause}，{attempts}，即将再次发送",
    },
    "why_callback_breaker": {
        "en": "receiver failing: {cause}, {attempts}, next {next} (the breaker probes then)",
        "zh": "接收方失败：{cause}，{attempts}，下次 {next}（熔断试探）",
    },
    "why_callback_probing": {
        "en": "receiver failing: {cause}, {attempts}; the breaker lets one attempt through at a "
        "time, and the next is due now",
        "zh": "接收方失败：{cause}，{attempts}；熔断试探中，每次只放行一个，即将发送",
    },
    "why_callback_open": {
        "en": "receiver failing: {cause}, {attempts}; nothing is sent before the breaker probes, "
        "which it does within 5 min",
        "zh": "接收方失败：{cause}，{attempts}；熔断中，5 分钟内试探后再发送",
    },
    "why_attempt": {"en": "{n} attempt", "zh": "已试 {n} 次"},
    "why_attempts": {"en": "{n} attempts", "zh": "已试 {n} 次"},
    "why_held_host": {"en": "held: {name} was paused{told}", "zh": "已暂停：{name}{told}"},
    "why_held_receiver": {
        "en": "held: this receiver was paused{told}",
        "zh": "已暂停：此接收方{told}",
    },
    "why_held_caller": {
        "en": "held: callbacks of {name} were paused{told}",
        "zh": "已暂停：{name} 的回调{told}",
    },
    "why_held_adopt": {
        "en": "held: the receivers of {name} are drafts, and are to be adopted first",
        "zh": "已暂停：{name} 的接收方尚为草稿，需先采用",
    },
    "why_held_other": {"en": "held: {name} was paused{told}", "zh": "已暂停：{name}{told}"},
    "why_callback_released": {
        "en": "held; its pause has ended, and the next sweep makes it due",
        "zh": "暂停已解除，将在下次扫描后发送",
    },
    "why_callback_delivered": {
        "en": "delivered {at} by attempt {n}{answer}",
        "zh": "{at}送达，第 {n} 次发送{answer}",
    },
    "why_answered": {"en": ", answered {status}", "zh": "，应答 {status}"},
    "why_callback_dead": {"en": "given up {at}: {died}{last}", "zh": "{at}放弃：{died}{last}"},
    "why_died_unknown": {"en": "for a reason that was not kept", "zh": "原因未保留"},
    "why_last_answer": {"en": "; the last attempt: {cause}", "zh": "；最后一次：{cause}"},
    "why_took": {"en": "it took the callback{status}", "zh": "接收方已接收{status}"},
    "why_reason": {"en": "{cause}{status}", "zh": "{cause}{status}"},
    "why_status": {"en": " ({status})", "zh": "（{status}）"},
    "why_cause_unknown": {"en": "the last answer is not known", "zh": "最近的应答未知"},
}
