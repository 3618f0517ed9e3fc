//! What is wrong with masks and control images.

use crate::{
    config::{self, Finding, schema},
    output::plain,
};

use super::{Folder, grouped};

impl Folder<'_> {
    pub(super) fn companions(&mut self) {
        let model =
            self.survey.model.name.and_then(schema::model).filter(|_| self.spec.control_path.is_some());
        if let Some(finding) = model.and_then(|it| config::without_control(it, self.at())) {
            self.found.push(finding);
        }
        if let Some(files) = self.files(self.directory.faults.without_control.iter()) {
            let message = format!("no control image, so the trainer gives up: {files}");
            let fix = "put a file of the same stem into `control_path` for each";
            self.error("control-file-per-target", message, fix);
        }
        if let Some((path, what)) = self.directory.faults.broken_controls.first() {
            let message = format!("the control image `{}` cannot be used: {what}", plain::name(path));
            self.error("control-file-per-target", message, "replace it");
        }
        self.controls_of_another_size();
        if let Some((name, mask, what)) = self.directory.faults.other_masks.first() {
            let more = match self.directory.faults.other_masks.len() {
                1 => String::new(),
                count => format!(", and so {} more", count - 1),
            };
            let message = format!(
                "the mask `{}` of `{}`: {what}{more}: the trainer gives up on it",
                plain::name(mask),
                plain::name(name)
            );
            self.error("mask-same-size", message, "make the mask as large as its image");
        }
        if let Some(files) = self.files(self.directory.faults.without_mask.iter()) {
            let message = format!("no mask, so all of the image counts: {files}");
            self.warning("mask-per-item", message, "add the masks, or set `default_mask_file`");
        }
        if let Some(pair) = self.directory.faults.ambiguous.first() {
            let message = format!("{pair} have one stem: which of them the trainer takes is chance");
            self.warning("companion-ambiguous", message, "keep one of them");
        }
    }

    /// The trainer fits a control image into its target's bucket whatever its size, so nothing fails.
    fn controls_of_another_size(&mut self) {
        let of = |is_same_shape| {
            let all = self.directory.faults.other_controls.iter();
            let mut all = all.filter(move |it| it.has_same_shape() == is_same_shape);
            let first = all.next()?;
            let more = match all.count() {
                0 => String::new(),
                count => format!(", and so {} more", grouped(count)),
            };
            let [of, control] = [first.target, first.control].map(|(w, h)| format!("{w}×{h}"));
            let [target, path] = [plain::name(&first.name), plain::name(&first.path)];
            Some(format!("`{path}` has {control} pixels, its target `{target}` {of}{more}"))
        };
        let (scaled, cropped) = (of(true), of(false));
        if let Some(files) = cropped {
            let message = format!(
                "control images of another shape than their targets, of which the trainer cuts off other parts, so that the two no longer fit: {files}"
            );
            self.warning("control-same-shape", message, "cut both to the same shape");
        }
        if let Some(files) = scaled {
            let message = format!(
                "control images of another size than their targets; the trainer scales both into one bucket: {files}"
            );
            let finding = Finding::note("control-same-size", self.at(), message);
            self.found.push(finding);
        }
    }
}
