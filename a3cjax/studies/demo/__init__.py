"""The first figure: who works when, what that does to learning, and how much sooner it is done."""

from a3cjax.studies.demo.study import DemoStudy, demo

__all__ = ["DemoStudy", "demo"]
