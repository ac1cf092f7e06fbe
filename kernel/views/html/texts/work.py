"""What the page of the work says, and those of a tag and of a caller."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "work_page": {"en": "Work", "zh": "执行"},
    "hanging": {"en": "Hanging", "zh": "疑似卡住"},
    "hangs": {"en": "hangs", "zh": "疑似卡住"},
    "hangs_silent": {
        "en": "its process is silent; taken over when the lease ends",
        "zh": "所在进程失联，租约到期后由其他进程接管",
    },
    "hangs_limit": {"en": "close to its time limit", "zh": "接近执行时限"},
    "hangs_long": {
        "en": "over {times} times as long as 95 % of them ({usual})",
        "zh": "已超过 95% 同类工单用时（{usual}）的 {times} 倍",
    },
    "run_since": {"en": "since", "zh": "始于"},
    "run_limit": {"en": "of {span}", "zh": "时限 {span}"},
    "doing": {"en": "Doing", "zh": "状态"},
    "doing_silent": {"en": "silent", "zh": "失联"},
    "doing_terminating": {"en": "is to end", "zh": "待终止"},
    "doing_draining": {"en": "draining", "zh": "排空中"},
    "doing_drained": {"en": "drained", "zh": "已排空"},
    "doing_running": {"en": "running", "zh": "执行中"},
    "doing_idle": {"en": "idle", "zh": "空闲"},
    "process_older": {
        "en": "an older release: it does not obey, stop it where it was started",
        "zh": "旧版本进程不响应此操作，请在启动处停止",
    },
    "process_version": {"en": "Version", "zh": "版本"},
    "older_release": {"en": "older_release", "zh": "旧版本"},
    "terminate": {"en": "Terminate", "zh": "终止"},
    "terminate_sure": {
        "en": "{name} hands back what it runs and ends, within seconds. Its orders run again and "
        "count one more crash: cancel one before, if it is not to run again.",
        "zh": "{name} 将在数秒内交回正在执行的工单并结束。这些工单会重新执行，并计一次异常终止；"
        "若不应重新执行，请先取消工单。",
    },
    "drain": {"en": "Drain", "zh": "排空"},
    "drain_sure": {
        "en": "Its processes end what they run and take no order and no callback, until resumed. "
        "Processes that start there meanwhile take nothing either.",
        "zh": "该主机的进程完成手头任务后不再接收工单和回调，直到恢复；"
        "其间新启动的进程同样不接收。",
    },
    "host_drained": {"en": "drained", "zh": "已排空"},
    "drained_by": {"en": "Drained by {by}", "zh": "由 {by} 排空："},
    "part_of_tag": {"en": "Tag", "zh": "select_tag"},
    "part_of_caller": {"en": "Caller", "zh": "调用方"},
    "failed_by": {"en": "Failed, by error", "zh": "失败（按错误）"},
    "pending_by_tag": {"en": "Pending, by caller", "zh": "待执行（按调用方）"},
    "pending_by_caller": {"en": "Pending, by tag", "zh": "待执行（按 select_tag）"},
    "done_drained": {
        "en": "The host is to be drained: its processes follow within seconds.",
        "zh": "主机即将排空，其进程数秒内生效。",
    },
    "done_drained_unknown": {
        "en": "Drained. No process was seen on this host: is its name spelt right?",
        "zh": "已排空。但该主机上没有进程，请检查主机名。",
    },
    "done_host_resumed": {
        "en": "The host is resumed: its processes follow within seconds.",
        "zh": "主机已恢复，其进程数秒内生效。",
    },
    "done_terminated": {
        "en": "The process is to end: it follows within seconds.",
        "zh": "进程即将终止，数秒内生效。",
    },
    "done_terminated_silent": {
        "en": "The process is silent, and ends only if it is heard of again. End it on its host.",
        "zh": "该进程已失去联系，恢复联系后才会终止；请在其主机上结束它。",
    },
}
