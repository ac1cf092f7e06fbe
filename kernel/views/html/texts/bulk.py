"""Bulk acts."""

from kernel.formats.texts import Language

TEXTS: dict[str, dict[Language, str]] = {
    "bulk_list": {"en": "Bulk acts", "zh": "批量操作"},
    "bulk_hint": {
        "en": "Many orders or callbacks at once, as jobs that go on without this page.",
        "zh": "一次处理大量工单或回调，关闭页面后仍会继续。",
    },
    "bulk_kind_rerun": {"en": "Run orders again", "zh": "重新执行工单"},
    "bulk_kind_cancel": {"en": "Cancel orders", "zh": "取消工单"},
    "bulk_kind_redeliver": {"en": "Replay callbacks", "zh": "重发回调"},
    "bulk_kind_drop": {"en": "Drop callbacks", "zh": "丢弃回调"},
    "bulk_about_rerun": {
        "en": "Failed orders, unless a state or an error is given, become new orders.",
        "zh": "未指定状态或错误时处理失败的工单，每个工单生成一个新工单。",
    },
    "bulk_about_cancel": {
        "en": "Orders that have not ended; running ones at their next checkpoint.",
        "zh": "处理未结束的工单；执行中的工单在下一个检查点取消。",
    },
    "bulk_about_redeliver": {
        "en": "Dead callbacks, unless the state is delivered: same ids and bytes.",
        "zh": "未指定 delivered 时处理已放弃的回调，ID 和内容不变。",
    },
    "bulk_about_drop": {
        "en": "Pending and held callbacks are never sent. They can be replayed later.",
        "zh": "待发送和暂扣的回调不再发送，以后仍可重发。",
    },
    "bulk_state_running": {"en": "under way", "zh": "进行中"},
    "bulk_state_done": {"en": "done", "zh": "已完成"},
    "bulk_state_aborted": {"en": "aborted", "zh": "已中止"},
    "bulk_what": {"en": "Act", "zh": "操作"},
    "bulk_done": {"en": "Done", "zh": "已处理"},
    "bulk_left": {"en": "Left", "zh": "未处理"},
    "bulk_by": {"en": "By", "zh": "操作人"},
    "bulk_none": {"en": "No bulk acts yet", "zh": "暂无批量操作"},
    "bulk_which": {"en": "Which ones", "zh": "范围"},
    "bulk_as_meant": {"en": "as usual:", "zh": "默认："},
    "bulk_count": {"en": "Count", "zh": "统计"},
    "bulk_count_all": {"en": "Count all of them", "zh": "统计全部"},
    "bulk_look": {"en": "Look at them", "zh": "查看列表"},
    "bulk_reach": {"en": "{n} match", "zh": "匹配 {n} 个"},
    "bulk_reach_one": {"en": "{n} matches", "zh": "匹配 {n} 个"},
    "bulk_reach_more": {"en": "At least {n} match", "zh": "至少匹配 {n} 个"},
    "bulk_nothing": {"en": "Nothing matches", "zh": "没有匹配项"},
    "bulk_again": {"en": "Also those that were run again already", "zh": "包括已重新执行过的工单"},
    "bulk_reshaped": {"en": "As the receivers' shapes are now", "zh": "使用接收方当前的模板"},
    "bulk_rate": {"en": "At most, per minute (optional)", "zh": "每分钟上限（选填）"},
    "bulk_reason": {"en": "Reason", "zh": "原因"},
    "bulk_begin": {"en": "Begin: {n}", "zh": "开始：{n} 个"},
    "bulk_what_begins_rerun": {
        "en": "Each becomes a new order. Later orders are left alone.",
        "zh": "每个工单生成一个新工单；之后提交的工单不受影响。",
    },
    "bulk_what_begins_cancel": {
        "en": "This cannot be taken back. Later orders are left alone.",
        "zh": "此操作无法撤销；之后提交的工单不受影响。",
    },
    "bulk_what_begins_redeliver": {
        "en": "What is sent cannot be taken back. Pausing a receiver or a host holds the rest.",
        "zh": "已发送的无法撤回；暂停接收方或主机可保留其余回调。",
    },
    "bulk_what_begins_drop": {
        "en": "Receivers are not told. Dropped callbacks can be replayed.",
        "zh": "不会通知接收方；已丢弃的回调可以重发。",
    },
    "bulk_at_rate": {"en": "at most {n} a minute", "zh": "每分钟最多 {n} 个"},
    "bulk_so_far": {
        "en": "{done} done, {left} left as they were",
        "zh": "已处理 {done} 个，未处理 {left} 个",
    },
    "bulk_abort": {"en": "Abort", "zh": "中止"},
    "bulk_abort_sure": {"en": "What is done stays done.", "zh": "已处理的不会撤销。"},
    "bulk_left_why": {"en": "Left as they were", "zh": "未处理的原因"},
    "bulk_made": {"en": "Run again as", "zh": "重新执行生成的工单"},
    "done_bulk_begun": {"en": "The bulk act has begun.", "zh": "批量操作已开始。"},
    "done_bulk_aborted": {"en": "The bulk act is aborted.", "zh": "批量操作已中止。"},
    "done_bulk_ended": {"en": "The bulk act had ended already.", "zh": "批量操作此前已结束。"},
}
