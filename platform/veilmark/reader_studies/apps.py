from django.apps import AppConfig


class ReaderStudiesConfig(AppConfig):
    name = "veilmark.reader_studies"
    label = "reader_studies"
